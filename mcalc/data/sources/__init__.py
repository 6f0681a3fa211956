"""Data sets: one module each turns a download into an `Index` of lesions."""
