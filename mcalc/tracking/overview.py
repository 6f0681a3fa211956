"""What a record holds: its sweeps by their titles, and the trials that have no result."""

from __future__ import annotations

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mcalc.config import TrackingConfig
from mcalc.results import SUPERSEDED_TAG, RecordedTrial
from mcalc.tracking.counting import newest_first
from mcalc.tracking.reader import newest_sweep, reading_client
from mcalc.tracking.runs import PARENT_TAG, recorded_trial, search

SINGLE_TRIALS = "single trials"
"""What the trials of no sweep are called; a space keeps it apart from every sweep's title."""


def recorded_sweeps(tracking: TrackingConfig) -> list[str]:
    """Titles of the recorded sweeps, the newest first, and `SINGLE_TRIALS` where there are any.

    A sweep without a title has its id. Raises UserError as `read_trials`; nothing recorded is an
    empty list.
    """
    client = reading_client(tracking)
    if client is None:
        return []
    experiments = _experiments(client)
    parents = search(client, experiments, {"mcalc.kind": "sweep"})
    titles = [
        parent.data.tags.get("mcalc.sweep") or parent.data.tags.get("mcalc.sweep_id", "")
        for parent in parents
    ]
    found = [title for title in dict.fromkeys(titles) if title]
    trials = search(client, experiments, {"mcalc.kind": "trial"})
    if any(PARENT_TAG not in run.data.tags for run in trials):
        found.append(SINGLE_TRIALS)
    return found


def unfinished_trials(tracking: TrackingConfig, sweep: str | None) -> list[RecordedTrial]:
    """Trials of a sweep, or single ones for None, that have no result, without artifacts.

    Failed, pruned, interrupted and running ones, in the order in which they began; of several
    attempts the newest, and none of a trial that another attempt finished. Nor of one whose name a
    later trial of the sweep finished, or one that was asked for again: it was computed with other
    numbers. The reason of a failure
    is the tag `ERROR_TAG`.
    """
    client = reading_client(tracking)
    if client is None:
        return []
    experiments = _experiments(client)
    if sweep is None:
        trials = search(client, experiments, {"mcalc.kind": "trial"})
        runs = [run for run in trials if PARENT_TAG not in run.data.tags]
    else:
        runs = newest_sweep(client, experiments, sweep)
    newest: dict[str, Run] = {}
    done: set[str] = set()
    names: set[str] = set()
    for run in newest_first(runs):
        if SUPERSEDED_TAG in run.data.tags:
            continue
        name = str(run.info.run_name)
        trial = run.data.tags.get("mcalc.key") or name
        # outside of sweeps many trials have one name
        if sweep is None or name not in names:
            newest.setdefault(trial, run)
        if run.info.status == "FINISHED":
            done.add(trial)
            names.add(name)
    left = [recorded_trial(run) for trial, run in newest.items() if trial not in done]
    return left[::-1]


def _experiments(client: MlflowClient) -> list[str]:
    return [found.experiment_id for found in client.search_experiments()]
