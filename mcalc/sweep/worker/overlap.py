"""Training runs of one process, one after another: each begins while the last is recorded.

The record of a training run ends with its network, figures and pictures, which takes as long as
several steps. A thread of its own writes them (`mcalc.trials.background`), and the next run need
not wait for it before its first evaluation. So never more than two runs are open, and an error in
the record of one costs a single iteration of another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mcalc.config import PlannedTrial
from mcalc.errors import CutOffError
from mcalc.results import CurvePoint, Outcome
from mcalc.training import Listener
from mcalc.trials import Waits, Work, next_turn

_log = logging.getLogger(__name__)
_Ended = Callable[[Sequence[Outcome]], None]


class Overlap(Listener):
    """Trains one run after another; a listener of each, by which the one before is completed."""

    def __init__(self, ended: _Ended) -> None:
        """`ended` is called with the outcomes of each."""
        self._ended = ended
        self._trained: Work | None = None
        """What waits for its record."""
        self._failed: list[Work] = []
        """What is tried again when the run under way has trained."""
        self._error: Exception | None = None
        """Why the record of a run could not be completed while another trained."""

    def run(self, work: Work) -> None:
        """Train; its record need not be complete when this returns, but that of all others is.

        Raises what training raises, and what completing another record did; then this run is cut
        off, to be resumed.
        """
        self._train(work)
        while self._failed:
            self._train(self._failed.pop(0))

    def finish(self) -> None:
        """Complete what has trained, and try again what failed."""
        while self._trained or self._failed:
            self._complete()
            while self._failed:
                self._train(self._failed.pop(0))

    def abandon(self) -> None:
        """Complete the record of what has trained, but train nothing again."""
        try:
            self._complete()
        finally:
            for work in self._failed:
                work.close()

    def _train(self, work: Work) -> None:
        try:
            state = next_turn(work)
        except CutOffError:
            # by `_complete_beside`
            if self._error is not None:
                raise self._error from None
            raise
        # where this one came to no evaluation
        self._complete()
        self._put(work, state)

    def _complete(self) -> None:
        """Wait until the last one is recorded."""
        last, self._trained = self._trained, None
        if last is not None:
            self._put(last, next_turn(last))

    def _put(self, work: Work, state: Waits | list[Outcome]) -> None:
        if state is Waits.for_record:
            self._trained = work
        elif state is Waits.to_try_again:
            self._failed.append(work)
        else:
            self._ended(state)

    def iterated(self, iteration: int) -> None:
        """Of a run that is resumed, which may evaluate late, complete the one before it now."""
        if iteration > 1:
            self._complete_beside()

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        """Before a curve grows: complete the run before it."""
        self._complete_beside()

    def _complete_beside(self) -> None:
        try:
            self._complete()
        except Exception as error:
            # whatever it is, it is not of the run under way: that is to be resumed, and not to be
            # recorded as failed. `_train` raises it as it came.
            self._error = error
            raise CutOffError(str(error)) from error


@contextmanager
def overlapping(ended: _Ended) -> Iterator[Overlap]:
    """Inside, training runs can be run; at the end all are complete.

    `ended` is called with the outcomes of each. After an error, what has trained is still recorded.
    """
    overlap = Overlap(ended)
    try:
        yield overlap
    except BaseException as first:
        try:
            overlap.abandon()
        except Exception as error:
            # whatever it is, what came first is raised; of a full disk both say the same
            if str(error) != str(first):
                _log.warning(f"  warning: {error}")
        raise
    overlap.finish()
