from .all_cases import Case as Case
from .all_cases import Kind as Kind
from .all_cases import count_differences as count_differences
from .all_cases import read_all_cases as read_all_cases
from .case_csv import COLUMNS as COLUMNS
from .case_csv import CSV_NAMES as CSV_NAMES
from .case_csv import MASS_CSV_NAMES as MASS_CSV_NAMES
from .index import read_index as read_index
