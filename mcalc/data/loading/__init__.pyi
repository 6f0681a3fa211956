from .checks import check_trainable as check_trainable
from .datamodule import CropData as CropData
from .datamodule import Crops as Crops
from .datamodule import Subset as Subset
from .features import Features as Features
from .length import run_length as run_length
