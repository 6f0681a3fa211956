"""What one trial is: typed settings, how they are filled, and a trial's identity."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
