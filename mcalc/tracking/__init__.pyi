from .opening import tracking_file as tracking_file
from .reader import read_speeds as read_speeds
from .reader import read_trials as read_trials
from .run_writer import RunWriter as RunWriter
from .tracker import Tracker as Tracker
