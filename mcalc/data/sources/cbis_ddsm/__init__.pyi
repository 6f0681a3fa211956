from .case_csv import COLUMNS as COLUMNS
from .case_csv import CSV_NAMES as CSV_NAMES
from .case_csv import MASS_CSV_NAMES as MASS_CSV_NAMES
from .index import read_index as read_index
