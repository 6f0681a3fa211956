"""Send to a tracking server what it did not take while it was away."""

from __future__ import annotations

from mcalc.config import Config, Line, after_training
from mcalc.console import console
from mcalc.tracking.places import refuse_nothing
from mcalc.trials import open_tracker


def send(config: Config, line: Line) -> int:
    """Send every run that is kept on this machine. Given again, nothing is sent twice."""
    # opening a record that is not there would make one
    refuse_nothing(config.tracking)
    tracker = open_tracker(config)
    number = 0
    for name, run_id in tracker.send():
        number += 1
        console.print(f"  {name} is on the server, as run {run_id}")
    console.print(f"{number} runs sent from {tracker.unsent.place}")
    console.print(after_training(config.tracking))
    return 0
