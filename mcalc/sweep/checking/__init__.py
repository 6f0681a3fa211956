"""Whether the stores of a sweep say the same and have lost nothing, and how to mend them."""
