"""What a training run reports while it runs: to the record, the display, a sweep's study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcalc.config import PlannedTrial
from mcalc.errors import StoppedError
from mcalc.results import CurvePoint, Outcome, TrialResult

if TYPE_CHECKING:
    from mcalc.training.checkpoint import Checkpoint, Weights


class Listener:
    """Is called at each event of a training run and of its trials' records.

    Every method does nothing here; a listener overrides those that it needs. Several listeners of
    one run are called in their order, in the thread that trains; `recording` and `recorded` in the
    thread that records.
    """

    def opened(self, trial: PlannedTrial, run_id: str) -> None:
        """A trial's record is open, as this MLflow run."""

    def started(self, iterations: int) -> None:
        """Training begins, with so many iterations at most."""

    def resumed(self, checkpoint: Checkpoint) -> None:
        """Training continues from a checkpoint; called right after `started`."""

    def iterated(self, iteration: int) -> None:
        """An iteration is done; they count from 1 over all attempts at the run."""

    def saving(self, iteration: int) -> None:
        """A checkpoint is about to be written. An error raised here prevents that."""

    def stops(self) -> StoppedError | None:
        """The error with which training is to stop now, on a checkpoint; None to continue.

        Asked after each evaluation, and before each checkpoint that is due.
        """
        return None

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        """A validation evaluation is done; these trials are still running."""

    def prunes(self, trial: PlannedTrial, evaluation: int, point: CurvePoint) -> bool:
        """Whether to end a trial without a result, after its evaluation of this number, from 1."""
        return False

    def pruned(self, trial: PlannedTrial, curve: Sequence[CurvePoint], seconds: float) -> None:
        """A trial was pruned, with its curve and seconds of training."""

    def finished(self, result: TrialResult, weights: Weights) -> None:
        """A trial has its result, with the reported network's weights."""

    def recording(self, trial: PlannedTrial) -> None:
        """A trial's end is about to be recorded. An error raised here prevents that."""

    def recorded(self, outcome: Outcome) -> None:
        """A trial has finished, was pruned or failed, and its record is closed."""

    def settle(self) -> None:
        """Whatever was reported is to be recorded when this returns. Raises why it cannot be."""

    def stopped(self) -> None:
        """Training has ended, normally or by an error."""

    def noted(self, text: str) -> None:
        """Something that a user should know, but that needs no action."""
