from .plant import check_enough_lesions as check_enough_lesions
from .plant import plant_defects as plant_defects
from .plant import write_expected as write_expected
