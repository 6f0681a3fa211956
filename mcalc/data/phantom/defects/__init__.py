"""What can be wrong with a download, by kind: images, file roles, CSV values, the mass part."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
