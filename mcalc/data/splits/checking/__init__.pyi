from .check import Columns as Columns
from .check import check_split as check_split
