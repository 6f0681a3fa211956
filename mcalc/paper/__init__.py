"""The paper as data: its tables as printed, and what it does not say.

K. Sharma and S. Mukherjee, "Classification of Micro-Calcification in Breast from Mammographic
Images using Transfer Learning" (manuscript received in January 2020).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
