from .augment_place import only_on_cpu as only_on_cpu
from .checks import check_trainable as check_trainable
from .crops import Crops as Crops
from .crops import Subset as Subset
from .datamodule import CropData as CropData
from .device_crops import on_device as on_device
from .features import Features as Features
from .length import run_length as run_length
