"""The MLflow record: `tracker` writes it, `reader` reads it. No other package imports mlflow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
