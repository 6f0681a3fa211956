from .checks import check_trainable as check_trainable
from .datamodule import CropData as CropData
from .datamodule import Crops as Crops
from .length import run_length as run_length
