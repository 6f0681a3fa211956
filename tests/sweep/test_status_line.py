"""The line beside a sweep's bar: how long it still takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from optuna.trial import TrialState

from mcalc.console import Display, console
from mcalc.sweep.display import status_line
from mcalc.sweep.display.status_line import SweepView
from mcalc.sweep.store import SweepStudy, Tally


class Seen:
    """What a study shows of a sweep of rows."""

    definition = None

    def __init__(self, done: int) -> None:
        self.done = done

    def tally(self) -> Tally:
        return Tally({TrialState.COMPLETE: self.done}, None)


@pytest.mark.parametrize(
    ("updates", "left"),
    [
        # seconds after the beginning, and how many are done then
        ([(100, 1)], "15 min"),
        # images were prepared before the first alone
        ([(100, 1), (101, 2), (102, 3)], "7 s"),
        ([(100, 4), (104, 6)], "8 s"),
        ([(100, 1), (130, 1), (130, 2)], "4 min"),
    ],
)
def test_the_time_left_is_that_of_the_trials_after_the_first(
    updates: list[tuple[int, int]], left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0
    monkeypatch.setattr(status_line, "time", SimpleNamespace(monotonic=lambda: now))
    seen = Seen(0)
    view = SweepView("rows", cast(SweepStudy, seen), 10, Display(console))
    for now, seen.done in updates:  # noqa: B007 - the clock reads it
        line = view.line(seen.tally())
    assert line == f"{updates[-1][1]} of 10 done; about {left} left"


def test_what_was_done_before_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    monkeypatch.setattr(status_line, "time", SimpleNamespace(monotonic=lambda: now))
    seen = Seen(4)
    view = SweepView("rows", cast(SweepStudy, seen), 10, Display(console))
    assert view.line(seen.tally()) == "4 of 10 done"
    now, seen.done = 10, 5
    assert view.line(seen.tally()) == "5 of 10 done; about 50 s left"
