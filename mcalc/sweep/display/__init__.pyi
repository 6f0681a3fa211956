from .live_note import LiveNote as LiveNote
from .live_note import pointer_to_mlflow as pointer_to_mlflow
from .printing import dry_run as dry_run
from .printing import print_plan as print_plan
from .printing import print_results as print_results
from .status_line import SweepView as SweepView
from .summary import mean_baselines as mean_baselines
from .summary import summarise as summarise
