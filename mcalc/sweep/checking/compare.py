"""Whether Optuna and MLflow say the same of a sweep: no trial lost, none twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from mcalc.results import RecordedTrial
from mcalc.sweep.store import DEFINITION, Leases, Owner, SweepStudy, trajectory_of
from mcalc.sweep.worker import NO_OBJECTIVE, work_of
from mcalc.tracking import Tracker

_STATES = {
    TrialState.COMPLETE: ("finished",),
    TrialState.PRUNED: ("pruned",),
    TrialState.FAIL: ("failed", "interrupted"),
    TrialState.RUNNING: ("running", "interrupted"),
}
"""What MLflow must say of a trial by what Optuna says. RUNNING with an interrupted run: a worker
was stopped, and the same command resumes it."""
_VALUE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Report:
    """What a check found."""

    counts: dict[str, int]
    """Trials by state, as Optuna has them (the last attempt at each)."""
    differences: list[str]
    """What the two stores do not agree on; empty where all is well."""
    unfinished: list[str]
    """Trials that a stopped worker left; the same command resumes them."""


def check(study: SweepStudy, tracker: Tracker, leases: Leases) -> Report:
    """Compare the two stores of one sweep."""
    newest = study.newest()
    parent = study.parent()
    runs = [run for run in tracker.runs_of(parent) if not run.superseded] if parent else []
    owners = leases.owners()
    differences = _doubles(study, runs)
    unfinished = []
    by_id = {run.run_id: run for run in runs}
    mentioned: set[str] = set()
    for attempt in newest.values():
        mentioned |= set(run_ids(attempt))
        differences += _compare(attempt, by_id)
        if attempt.state is TrialState.RUNNING and not _owned(study, attempt, owners):
            unfinished.append(str(attempt.user_attrs.get("name")))
    earlier = {run_id for attempt in study.attempts() for run_id in run_ids(attempt)}
    for run in runs:
        if run.run_id not in mentioned and (run.run_id not in earlier or run.state == "running"):
            differences.append(
                f"{run.name}: MLflow has a run ({run.run_id}, {run.state}) that Optuna knows "
                "nothing of"
            )
    counts = Counter(attempt.state.name.lower() for attempt in newest.values())
    return Report(dict(counts), differences, unfinished)


def run_ids(attempt: FrozenTrial) -> list[str]:
    """The MLflow runs of an attempt: one, or one a seed of a search's configuration."""
    facts = attempt.user_attrs
    several = facts.get("runs")
    if several:
        return [str(run_id) for run_id in several.values()]
    return [str(facts["mlflow_run"])] if facts.get("mlflow_run") else []


def _doubles(study: SweepStudy, runs: Sequence[RecordedTrial]) -> list[str]:
    """Trials that are done more than once; a rerun that was asked for supersedes the one before."""
    found = []
    finished = Counter(run.key for run in runs if run.state in ("finished", "pruned"))
    names = {run.key: run.name for run in runs}
    for key, number in finished.items():
        if number > 1:
            found.append(f"{names[key]}: MLflow has {number} finished runs of it")
    living = Counter(
        str(attempt.user_attrs.get("key", ""))
        for attempt in study.attempts()
        if attempt.state is TrialState.RUNNING
    )
    for key, number in living.items():
        if key and number > 1:
            found.append(f"{names.get(key, key)}: Optuna has {number} running trials of it")
    return found


def _compare(attempt: FrozenTrial, by_id: dict[str, RecordedTrial]) -> list[str]:
    name = str(attempt.user_attrs.get("name"))
    ids = run_ids(attempt)
    if not ids:
        # failed before its record was open, or the same configuration as another one
        lacking = attempt.state in (TrialState.COMPLETE, TrialState.PRUNED)
        if lacking and "copy_of" not in attempt.user_attrs:
            return [f"{name}: {attempt.state.name} in Optuna, and no run in MLflow"]
        return []
    found = []
    last = len(ids) - 1
    for place, run_id in enumerate(ids):
        run = by_id.get(run_id)
        if run is None:
            found.append(f"{name}: Optuna names run {run_id}, which MLflow does not have")
            continue
        allowed = _STATES.get(attempt.state, ())
        # the seeds before the last one are done, and all where there is nothing to compare
        if place < last or attempt.user_attrs.get("error") == NO_OBJECTIVE:
            allowed = ("finished",)
        if run.state not in allowed:
            found.append(f"{name}: {attempt.state.name} in Optuna, {run.state} in MLflow")
        elif len(ids) == 1 and attempt.state is TrialState.COMPLETE:
            found += _compare_values(name, attempt, run)
    return found


def _compare_values(name: str, attempt: FrozenTrial, run: RecordedTrial) -> list[str]:
    recorded = {run.metrics.get("accuracy")} | {
        value for metric, value in run.metrics.items() if metric.startswith("reported_val_")
    }
    value = attempt.value
    same = any(
        other is not None and value is not None and abs(other - value) <= _VALUE_TOLERANCE
        for other in recorded
    )
    return [] if same else [f"{name}: value {value} in Optuna, and no such figure in MLflow"]


def _owned(study: SweepStudy, attempt: FrozenTrial, owners: dict[str, Owner]) -> bool:
    searched = DEFINITION in study.study.user_attrs
    work = work_of(attempt.number) if searched else trajectory_of(attempt)
    return work in owners
