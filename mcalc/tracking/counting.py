"""Which run counts of several that have one name, as the trials of a row before and after an edit.

The one that began last, unless an earlier one is asked for again: it has a tag that says when.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from mlflow.entities import Run

from mcalc.results import ASKED_AGAIN_TAG, RECORDED_AS_TAG, RecordedTrial

if TYPE_CHECKING:
    from mcalc.tracking.tracker import Tracker


def count_again(tracker: Tracker, run_id: str) -> None:
    """Let a run count from now on; nothing happens where MLflow has lost it.

    One that a server does not have whole is sent with its tags.
    """
    tracker.tag(run_id, ASKED_AGAIN_TAG, str(int(time.time() * 1000)))


def call_run(tracker: Tracker, run_id: str, name: str) -> None:
    """Give a run its row's name of now, for which it counts.

    Nothing happens where MLflow has lost it, or a server does not have all of it yet.
    """
    run = tracker.run(run_id)
    if run is None or tracker.unsent.record_of(run.run_id):
        return
    if RECORDED_AS_TAG not in run.tags:
        tracker.client.set_tag(run.run_id, RECORDED_AS_TAG, run.name)
    tracker.client.update_run(run.run_id, name=name)
    count_again(tracker, run_id)


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
