"""Data sets: one module each turns a download into an `Index` of lesions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
