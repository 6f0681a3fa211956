"""The sweeps that MLflow has, beside what Optuna has of them."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.tracking.names import PARENT_TAG
from mcalc.tracking.runs import search
from mcalc.tracking.tracker import Tracker

_WITHOUT_STUDY_TAG = "mcalc.without_study"
"""Of a sweep's own run: that its study is lost is known."""


@dataclass(frozen=True)
class SweepRuns:
    """A sweep as MLflow has it."""

    name: str
    parent: str
    """Its MLflow run."""
    finished: int
    """Trials that have finished."""
    without_study: bool
    """Whether it is known that Optuna's part of it is lost."""


def sweeps_of(tracker: Tracker) -> list[SweepRuns]:
    """The recorded sweeps, the newest first."""
    found = []
    experiments = [tracker.experiment_id]
    for parent in search(tracker.client, experiments, {"mcalc.kind": "sweep"}):
        run_id, tags = str(parent.info.run_id), parent.data.tags
        runs = search(tracker.client, experiments, {PARENT_TAG: run_id}, "FINISHED")
        name = tags.get("mcalc.sweep_id", "")
        found.append(SweepRuns(name, run_id, len(runs), _WITHOUT_STUDY_TAG in tags))
    return found


def mark_without_study(tracker: Tracker, parent: str) -> None:
    """Keep with a sweep that its study is lost, and that this is known."""
    tracker.client.set_tag(parent, _WITHOUT_STUDY_TAG, "true")
