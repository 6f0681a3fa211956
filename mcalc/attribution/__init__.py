"""Where on an image a network finds what speaks for malignant: heat maps, and their controls."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
