"""The display of one training run."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress import TaskID

from mcalc.config import PlannedTrial
from mcalc.console import QUIET_SECONDS, Display, console, format_time, shows_bars
from mcalc.results import CurvePoint
from mcalc.training.listener import Listener

if TYPE_CHECKING:
    from mcalc.training.checkpoint import Checkpoint

_log = logging.getLogger(__name__)


class TrainingProgress(Listener):
    """Shows iterations done of those at most to come, with the last validation loss.

    The time left is an upper bound: patience may end the run sooner.
    """

    def __init__(self, title: str, display: Display | None = None) -> None:
        self.title = title
        self.total = 0
        self.note = ""
        self.began = self.last = time.monotonic()
        self.before = 0
        """Iterations that an earlier process did."""
        self.own = display is None
        self.display = display or Display(console)
        self.task: TaskID | None = None

    def started(self, iterations: int) -> None:
        """Show the bar."""
        self.total = iterations
        if self.own:
            self.display.bars.start()
        self.began = time.monotonic()
        self.task = self.display.add(self.title, iterations)

    def resumed(self, checkpoint: Checkpoint) -> None:
        """Begin at the iteration that an earlier process reached."""
        self.before = checkpoint.iteration

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        """Show the newest evaluation."""
        self.note = f"val loss {point.val_loss:.4f}, accuracy {point.val_accuracy:.3f}"

    def iterated(self, iteration: int) -> None:
        """Move the bar by an iteration; without a terminal, print a line now and then."""
        if self.task is not None:
            self.display.update(self.task, iteration, self.note, self.total)
        now = time.monotonic()
        if not shows_bars(console) and now - self.last > QUIET_SECONDS:
            self.last = now
            # nothing is evaluated yet, or the trial was resumed
            note = f"{self.note}, " if self.note else ""
            each = (now - self.began) / (iteration - self.before)
            _log.info(
                f"  {self.title}: iteration {iteration} of at most {self.total}, {note}"
                f"at most {format_time(each * (self.total - iteration))} left"
            )

    def stopped(self) -> None:
        """Remove the bar, so that an error is printed below the others."""
        if self.task is not None:
            self.display.remove(self.task)
            self.task = None
        if self.own:
            self.display.bars.stop()
