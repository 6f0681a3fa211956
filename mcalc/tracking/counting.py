"""Which run counts of several that have one name, as the trials of a row before and after an edit.

The one that began last, unless an earlier one is asked for again: it has a tag that says when.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from mlflow.entities import Run

from mcalc.results import ASKED_AGAIN_TAG, RecordedTrial

if TYPE_CHECKING:
    from mcalc.tracking.tracker import Tracker


def count_again(tracker: Tracker, run_id: str) -> None:
    """Let a run count from now on; nothing happens where MLflow has lost it."""
    now = str(int(time.time() * 1000))
    for kept in tracker.unsent.runs():
        if run_id == kept.info.run_id:
            tracker.unsent.tag(run_id, ASKED_AGAIN_TAG, now)  # it is sent with its tags
            return
    if run := tracker.run(run_id):
        tracker.client.set_tag(run.run_id, ASKED_AGAIN_TAG, now)


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """Runs in the order in which they count, those that began last or were asked for last first."""
    return sorted(runs, key=since, reverse=True)


def reported(runs: Iterable[RecordedTrial]) -> dict[str, RecordedTrial]:
    """By name, which of a sweep's runs a report shows; `runs` in the order in which they began."""
    counted = [run for run in runs if run.state == "finished" and not run.superseded]
    return {run.name: run for run in sorted(counted, key=lambda run: run.since)}


def since(run: Run) -> int:
    """From when on a run counts of its name, in milliseconds since 1970."""
    counted = int(run.info.start_time or 0)
    with suppress(ValueError):  # a tag that somebody wrote by hand
        counted = max(counted, int(run.data.tags.get(ASKED_AGAIN_TAG, counted)))
    return counted
