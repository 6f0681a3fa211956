"""Anybody's split: who and what stands on both sides of it, read from one CSV or several."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
