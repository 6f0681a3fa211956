"""What runs the jobs of a sweep in one process, here or on another machine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
