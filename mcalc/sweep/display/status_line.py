"""What is seen of a sweep while it runs: one line, kept up to date on a terminal."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mcalc.console import Display, console
from mcalc.sweep.display.estimate import format_time
from mcalc.sweep.store import SweepStudy, result

_TERMINAL_SECONDS = 2.0
_LINE_SECONDS = 30.0
"""Without a terminal, a line at most this often while jobs run elsewhere."""


class SweepView:
    """Trials done, running, pruned and failed, the best so far and the time left."""

    def __init__(self, title: str, study: SweepStudy, total: int | None, display: Display) -> None:
        self.title = title
        self.study = study
        self.total = total
        self.display = display
        self._task = display.add(title, total)
        self._began = time.monotonic()
        self._done_before = self._settled(study.current())
        self._said = ""
        display.update(self._task, self._done_before, self.line(study.current()), total)

    def update(self) -> None:
        """Show the study's present state; as plain lines where there is no terminal."""
        newest = self.study.current()
        line = self.line(newest)
        self.display.update(self._task, self._settled(newest), line, self.total)
        if not console.is_terminal and line != self._said:
            self._said = line
            console.print(f"{self.title}: {line}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, the view follows jobs that run in other processes."""
        ended = threading.Event()
        seconds = _TERMINAL_SECONDS if console.is_terminal else _LINE_SECONDS

        def follow() -> None:
            while not ended.wait(seconds):
                self.update()

        thread = threading.Thread(target=follow, name="sweep view", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def line(self, newest: Sequence[FrozenTrial]) -> str:
        """`12 of 40 done, 1 running, 2 pruned; best AL3 0.863 [0.766, 0.924]; about 9 min left`."""
        states = Counter(attempt.state for attempt in newest)
        of = f" of {self.total}" if self.total else ""
        parts = [f"{self._settled(newest)}{of} done"]
        for state, word in (
            (TrialState.RUNNING, "running"),
            (TrialState.PRUNED, "pruned"),
            (TrialState.FAIL, "failed"),
        ):
            if states[state]:
                parts.append(f"{states[state]} {word}")
        text = ", ".join(parts)
        best = best_of(newest, self.study.study.direction)
        if best:
            text += f"; best {format_best(best)}"
        done = self._settled(newest) - self._done_before
        if self.total and 0 < done < self.total - self._done_before:
            left = (time.monotonic() - self._began) / done
            left *= self.total - self._done_before - done
            text += f"; about {format_time(left)} left"
        return text

    def _settled(self, attempts: Iterable[FrozenTrial]) -> int:
        return sum(
            attempt.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
            for attempt in attempts
        )


def best_of(attempts: Sequence[FrozenTrial], direction: StudyDirection) -> FrozenTrial | None:
    """The complete trial of the best value."""
    complete = [a for a in attempts if a.state is TrialState.COMPLETE and a.value is not None]
    if not complete:
        return None
    sign = 1 if direction is StudyDirection.MAXIMIZE else -1
    return max(complete, key=lambda attempt: sign * (attempt.value or 0.0))


def format_best(best: FrozenTrial) -> str:
    """Name and value, with the interval where the value is an accuracy."""
    text = f"{best.user_attrs.get('name')} {best.value:.4f}"
    known = result(best)
    low, high = (known.get(f"accuracy_{side}", math.nan) for side in ("low", "high"))
    # the value may be another figure than the accuracy
    return f"{text} [{low:.3f}, {high:.3f}]" if low <= (best.value or 0.0) <= high else text
