from .controls import centre_blob as centre_blob
from .controls import random_pixels as random_pixels
from .controls import randomised as randomised
from .heat_maps import NoHeatMapsError as NoHeatMapsError
from .heat_maps import heat_maps as heat_maps
from .inside import Inside as Inside
from .inside import mean_of_lesions as mean_of_lesions
from .inside import share_of_heat as share_of_heat
