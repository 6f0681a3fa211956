"""What a sweep keeps in Optuna's database: study, leases, samplers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
