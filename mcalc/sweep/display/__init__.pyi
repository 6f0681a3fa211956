from .printing import dry_run as dry_run
from .printing import print_outcomes as print_outcomes
from .printing import print_plan as print_plan
from .status_line import SweepView as SweepView
from .summary import summarise as summarise
