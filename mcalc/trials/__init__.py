"""From data to a recorded trial: runs it, writes its artifacts and its environment."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
