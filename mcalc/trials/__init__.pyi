from .disk_full import raise_disk_full as raise_disk_full
from .provenance import hardware as hardware
from .recorder import SweepRecord as SweepRecord
from .runner import open_tracker as open_tracker
from .runner import run as run
from .runner import run_trials as run_trials
