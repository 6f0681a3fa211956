from .registry import Source as Source
from .registry import open_source as open_source
