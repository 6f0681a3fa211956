"""What is seen of a sweep while it runs: one line, kept up to date on a terminal."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optuna.trial import FrozenTrial, TrialState

from mcalc.config import short_title
from mcalc.console import Display, console, format_time, shows_bars
from mcalc.sweep.store import SweepStudy, Tally, result

_TERMINAL_SECONDS = 2.0
_LINE_SECONDS = 30.0
"""Without a terminal, a line at most this often while jobs run elsewhere."""
_SETTLED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SweepView:
    """Trials done, running, pruned and failed, a search's best so far and the time left."""

    def __init__(
        self,
        title: str,
        study: SweepStudy,
        total: int | None,
        display: Display,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called with each update."""
        self.title = title
        self.study = study
        self.total = total
        self.display = display
        self._changed = changed
        self._task = display.add(short_title(title), total)
        self._began = time.monotonic()
        self._first: tuple[int, float] | None = None
        """How many were done at the first update that had any, and when: the first one's time has
        what is done once, as preparing images."""
        self._is_search = study.definition is not None
        seen = study.tally()
        self._done_before = _settled(seen)
        self._said = ""
        display.update(self._task, self._done_before, self.line(seen), total)

    def update(self) -> None:
        """Show the study's present state; as plain lines where there is no terminal."""
        self._changed()
        seen = self.study.tally()
        line = self.line(seen)
        self.display.update(self._task, _settled(seen), line, self.total)
        if not shows_bars(console) and line != self._said:
            self._said = line
            console.print(f"{short_title(self.title)}: {line}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, the view follows jobs that run in other processes."""
        ended = threading.Event()
        seconds = _TERMINAL_SECONDS if shows_bars(console) else _LINE_SECONDS

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

    def line(self, seen: Tally) -> str:
        """`12 of 40 done, 1 running, 2 pruned; best trial 7 0.863; about 9 min left`."""
        of = f" of {self.total}" if self.total else ""
        done = _settled(seen)
        parts = [f"{done}{of} done"]
        for state, word in (
            (TrialState.RUNNING, "running"),
            (TrialState.PRUNED, "pruned"),
            (TrialState.FAIL, "failed"),
        ):
            if number := seen.states.get(state):
                parts.append(f"{number} {word}")
        text = ", ".join(parts)
        # of explicit trials the value is the reported accuracy, by which none is to be chosen: the
        # report ranks them, where they were validated on other lesions
        if seen.best and self._is_search:
            text += f"; best {format_best(seen.best)}"
        if self.total and self._done_before < done < self.total:
            text += f"; about {format_time(self._each(done) * (self.total - done))} left"
        return text

    def _each(self, done: int) -> float:
        """Seconds from one trial's end to the next."""
        now = time.monotonic()
        first = self._first = self._first or (done, now)
        if done > first[0]:
            return (now - first[1]) / (done - first[0])
        return (now - self._began) / (done - self._done_before)


def _settled(seen: Tally) -> int:
    return sum(seen.states.get(each, 0) for each in _SETTLED)


def format_best(best: FrozenTrial) -> str:
    """Name and value of a search's best trial, with the interval where the value is an accuracy."""
    text = f"{best.user_attrs.get('name')} {best.value:.4f}"
    known = result(best)
    low, high = (known.get(f"accuracy_{side}", math.nan) for side in ("low", "high"))
    # the value may be another figure than the accuracy
    return f"{text} [{low:.3f}, {high:.3f}]" if low <= (best.value or 0.0) <= high else text
