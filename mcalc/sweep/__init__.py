"""Sweeps: from a file or comma lists to trials, to trajectories, to what is recorded of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
