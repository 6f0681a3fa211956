"""Whether Optuna and MLflow say the same of a sweep: no trial lost, none twice, none changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from optuna.trial import FrozenTrial, TrialState

from mcalc.config import NUMERICS_VERSION
from mcalc.results import SUPERSEDED_TAG, RecordedTrial
from mcalc.sweep.checking.attempt import (
    attempt_problems,
    identity_problems,
    score_problems,
)
from mcalc.sweep.store import DONE, Leases, Owner, SweepStudy, run_ids, trajectory_of, undrawn
from mcalc.sweep.worker import NO_OBJECTIVE, work_of
from mcalc.tracking import Tracker, reported

_STATES = {
    TrialState.COMPLETE: ("finished",),
    TrialState.PRUNED: ("pruned",),
    TrialState.FAIL: ("failed", "interrupted"),
    TrialState.RUNNING: ("running", "interrupted"),
}
"""What MLflow must say of a trial by what Optuna says. RUNNING with an interrupted run: a worker
was stopped, and the same command resumes it."""


class Remedy(Enum):
    """What mends a difference, as a command says it."""

    none = "nothing is done about it"
    attempt = "Optuna's entry is written anew from its run"
    run = "its run is written anew from its files, and replaces this one"
    again = "it is marked as not done: the same command runs it again"
    adopt = "Optuna's entry is marked as not done: the same command takes over its finished run"
    command = "the same command takes it over"
    abandon = "the run is closed"
    supersede = "the run that is not Optuna's is marked as replaced"
    refile = "the run is filed under its sweep again"
    restore = "it is restored in MLflow"
    count = "its run counts again"
    void = "the earlier entry counts no longer"
    rename = "the study gets that name again"
    redraw = "it counts no longer: the same command draws another in its place"
    title = "its name and tags are written anew"
    single = "it is written anew from its files, and replaces this one"
    single_again = "it is marked as replaced: the same command runs it again"
    parent = "a new parent run is made, and the trials' runs are filed under it"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    text: str
    remedy: Remedy
    attempt: FrozenTrial | None = None
    run_id: str | None = None
    """The MLflow run that the remedy is about."""


@dataclass(frozen=True)
class Report:
    """What a check found."""

    counts: dict[str, int]
    """Trials by state, as Optuna has them (the last attempt at each)."""
    findings: list[Finding]
    """What is not as it should be; empty where all is well."""
    unfinished: list[str]
    """Trials that a stopped worker left; the same command resumes them."""
    outdated: list[str] = field(default_factory=list)
    """Those that it begins anew: a version of the code left them that computes other numbers."""
    earlier: list[str] = field(default_factory=list)
    """Runs of what rows were before they were edited, which Optuna's store lost: all is well."""

    @property
    def differences(self) -> list[str]:
        """What is not as it should be, in words."""
        return [finding.text for finding in self.findings]


def title_of(sweep: str) -> str:
    """A sweep's name without the hash that tells sweeps of one title apart."""
    return re.sub(r"-[0-9a-f]{8}$", "", sweep)


def check(study: SweepStudy, tracker: Tracker, leases: Leases) -> Report:
    """Compare the two stores of one sweep, each run with what it was when it was closed."""
    owners = leases.owners()
    found = list(_parent(study, tracker))
    parent = study.parent()
    runs = [run for run in tracker.runs_of(parent) if not run.superseded] if parent else []
    newest = study.newest()
    last_of_name = {attempt.user_attrs["name"]: attempt for attempt in study.current()}
    found += _doubles(study, runs)
    unfinished: list[str] = []
    outdated: list[str] = []
    mentioned = set()
    by_id = {each: run for run in runs for each in run.ids}
    found += _nameless(study, by_id)
    found += _half_drawn(study, owners)
    for attempt in newest.values():
        mentioned |= {by_id[each].run_id for each in run_ids(attempt) if each in by_id}
        mentioned |= set(run_ids(attempt))
        if undrawn(attempt, study.definition):
            continue
        compared = list(_compare(study, attempt, by_id, tracker))
        mentioned |= {each.run_id for each in compared if each.run_id}
        found += compared
        # of several trials of one name, the command runs the last
        last = last_of_name.get(attempt.user_attrs.get("name"), attempt)
        is_open = attempt.state is TrialState.RUNNING and attempt.number == last.number
        if is_open and not _is_owned(study, attempt, owners):
            numerics = attempt.user_attrs.get("identity", {}).get("numerics", NUMERICS_VERSION)
            (unfinished if numerics == NUMERICS_VERSION else outdated).append(_name(attempt))
    found += _not_shown(study, runs, last_of_name)
    earlier: list[str] = []
    attempted = {run_id for attempt in study.attempts() for run_id in run_ids(attempt)}
    for run in runs:
        named = not attempted.isdisjoint(run.ids)
        if run.run_id not in mentioned and (not named or run.state == "running"):
            if _is_earlier(study, run, last_of_name):
                earlier.append(f"{run.name} ({run.run_id}, {run.state})")
                continue
            text = f"{run.name}: MLflow has a run ({run.run_id}, {run.state}) that Optuna knows not"
            remedy = Remedy.none if owners else _remedy_of_unknown(study, run, newest)
            found.append(Finding(text, remedy, run_id=run.run_id))
    counts = Counter(attempt.state.name.lower() for attempt in last_of_name.values())
    return Report(dict(counts), found, unfinished, outdated, earlier)


def check_single_runs(tracker: Tracker) -> list[Finding]:
    """What of the runs that belong to no sweep is no longer as it was when they were closed."""
    found = []
    for run in tracker.single_runs():
        inspection = tracker.inspect(run.run_id)
        remedy = Remedy.single if inspection.files else Remedy.single_again
        found += [
            Finding(f"{run.name}: {text} (run {run.run_id})", remedy, run_id=run.run_id)
            for text in inspection.problems
        ]
    return found


def _nameless(study: SweepStudy, by_id: Mapping[str, RecordedTrial]) -> Iterator[Finding]:
    """Entries that have ended and do not say of which trial they are."""
    for attempt in study.attempts():
        if attempt.state in DONE and "key" not in attempt.user_attrs:
            text = f"Optuna's entry {attempt.number} does not say of which trial it is"
            ids = run_ids(attempt)
            if len(ids) == 1 and ids[0] in by_id:
                yield Finding(text, Remedy.attempt, attempt, ids[0])
            else:
                yield Finding(text, Remedy.again, attempt)


def _half_drawn(study: SweepStudy, owners: Mapping[str, Owner]) -> Iterator[Finding]:
    """Configurations that lack parameters of the space: they ran with the defaults of these."""
    for attempt in study.attempts():
        if attempt.state not in (*DONE, TrialState.RUNNING):
            continue
        for name in undrawn(attempt, study.definition):
            text = f"{_name(attempt)}: its parameter {name} was never drawn"
            remedy = Remedy.none if _is_owned(study, attempt, owners) else Remedy.redraw
            yield Finding(text, remedy, attempt)


def _name(attempt: FrozenTrial) -> str:
    return str(attempt.user_attrs.get("name") or f"Optuna's entry {attempt.number}")


def _remedy_of_unknown(
    study: SweepStudy, run: RecordedTrial, newest: Mapping[str, FrozenTrial]
) -> Remedy:
    """What to do about a run that no entry of Optuna names."""
    if run.state == "running":
        return Remedy.abandon
    is_done = run.key in newest and newest[run.key].state in DONE
    if run.state in ("finished", "pruned") and study.definition is None and not is_done:
        return Remedy.command
    return Remedy.supersede


def _is_earlier(
    study: SweepStudy, run: RecordedTrial, last_of_name: Mapping[str, FrozenTrial]
) -> bool:
    """Whether a run is of what a row was before an edit; who edits it back goes on with it."""
    counting = last_of_name.get(run.name)
    if counting is None or study.definition is not None or run.state == "running":
        return False
    return counting.user_attrs.get("key") not in (None, run.key)


def _not_shown(
    study: SweepStudy, runs: Sequence[RecordedTrial], last_of_name: Mapping[str, FrozenTrial]
) -> Iterator[Finding]:
    """Trials in place of which a report shows another one of their name."""
    shown = reported(runs) if study.definition is None else {}
    by_id = {each for run in runs for each in run.ids}
    for name, attempt in last_of_name.items():
        ids = run_ids(attempt)
        if attempt.state is not TrialState.COMPLETE or not ids or not by_id.issuperset(ids):
            continue
        if name in shown and set(shown[name].ids).isdisjoint(ids):
            text = f"{name}: a report shows run {shown[name].run_id}, and Optuna has {ids[0]}"
            yield Finding(text, Remedy.count, attempt, ids[0])


def _parent(study: SweepStudy, tracker: Tracker) -> Iterator[Finding]:
    parent = study.parent()
    if parent is None or tracker.run(parent) is None:
        if study.attempts():
            yield Finding("the sweep's parent run is not in MLflow", Remedy.parent)
    elif tracker.is_deleted(parent):
        yield Finding(
            f"the sweep's parent run ({parent}) is deleted in MLflow", Remedy.restore, None, parent
        )
    elif run := tracker.run(parent):
        yield from _title(study, run)


def _title(study: SweepStudy, run: RecordedTrial) -> Iterator[Finding]:
    """Where the parent run and the study are not called the same."""
    sweep = run.tags.get("mcalc.sweep_id")
    if run.name == sweep != study.name:  # two of three
        text = f"the study is called {study.name}, and was {sweep}"
        yield Finding(text, Remedy.rename, None, run.run_id)
        return
    for what, now, then in (
        ("name", run.name, study.name),
        ("kind", run.tags.get("mcalc.kind"), "sweep"),
        ("sweep", sweep, study.name),
        ("title", run.tags.get("mcalc.sweep"), title_of(study.name)),
    ):
        if now != then:
            text = f"the {what} of the sweep's parent run is {now}, and was {then}"
            yield Finding(text, Remedy.title, None, run.run_id)


def _doubles(study: SweepStudy, runs: Sequence[RecordedTrial]) -> Iterator[Finding]:
    """Trials that are done more than once; a rerun that was asked for supersedes the one before."""
    ours = {run_id for attempt in study.newest().values() for run_id in run_ids(attempt)}
    finished = Counter(run.key for run in runs if run.state in ("finished", "pruned"))
    names = {run.key: run.name for run in runs}
    for key, number in finished.items():
        if number > 1:
            text = f"{names[key]}: MLflow has {number} finished runs of it"
            others = [r.run_id for r in runs if r.key == key and ours.isdisjoint(r.ids)]
            for run_id in others[: number - 1]:
                yield Finding(text, Remedy.supersede, None, run_id)
            if not others:
                yield Finding(text, Remedy.none)
    seen: dict[str, FrozenTrial] = {}
    for attempt in study.attempts():
        for run_id in run_ids(attempt) if attempt.state in DONE else ():
            if run_id in seen:
                earlier = seen[run_id]
                text = f"{_name(attempt)}: Optuna's entries {earlier.number} and {attempt.number}"
                yield Finding(f"{text} are both of run {run_id}", Remedy.void, earlier)
            seen[run_id] = attempt
    living = Counter(
        str(attempt.user_attrs.get("key", ""))
        for attempt in study.attempts()
        if attempt.state is TrialState.RUNNING
    )
    for key, number in living.items():
        if key and number > 1:
            text = f"{names.get(key, key)}: Optuna has {number} running trials of it"
            yield Finding(text, Remedy.none)


def _compare(
    study: SweepStudy, attempt: FrozenTrial, by_id: dict[str, RecordedTrial], tracker: Tracker
) -> Iterator[Finding]:
    """One trial in Optuna against its runs in MLflow."""
    ids, is_done = run_ids(attempt), attempt.state in DONE
    if not ids:
        # failed before its record was open, or the same configuration as another one
        if is_done and "copy_of" not in attempt.user_attrs:
            text = f"{_name(attempt)}: {attempt.state.name} in Optuna, and no run in MLflow"
            yield Finding(text, Remedy.again, attempt)
        return
    for place, run_id in enumerate(ids):
        run = by_id.get(run_id)
        if run is None:
            yield _missing(attempt, run_id, tracker)
            continue
        allowed = _STATES.get(attempt.state, ())
        # the seeds before the last one are done, and all where there is nothing to compare
        if place < len(ids) - 1 or attempt.user_attrs.get("error") == NO_OBJECTIVE:
            allowed = ("finished",)
        problems = list(_run_problems(attempt, run, tracker, alone=len(ids) == 1))
        yield from problems
        if problems:
            continue
        if run.state not in allowed:
            text = f"{_name(attempt)}: {attempt.state.name} in Optuna, {run.state} in MLflow"
            remedy = Remedy.again if is_done else Remedy.none
            # its run is as it was when it was closed
            if len(ids) == 1 and run.state in ("finished", "pruned") and run.manifest:
                remedy = Remedy.attempt if attempt.state.is_finished() else remedy
            yield Finding(text, remedy, attempt, run_id)
        elif len(ids) == 1 and is_done:
            # a search takes no finished run over
            searched = study.definition is not None
            remedy = Remedy.attempt if searched else Remedy.adopt
            for text in identity_problems(study, attempt, run):
                yield Finding(f"{_name(attempt)}: {text}", remedy, attempt, run_id)
            curve = tracker.curve_of(run.run_id) if searched else ()
            for text in attempt_problems(study, attempt, run, curve):
                yield Finding(f"{_name(attempt)}: {text}", Remedy.attempt, attempt, run_id)


def _missing(attempt: FrozenTrial, run_id: str, tracker: Tracker) -> Finding:
    """A run that Optuna names, and that is not among those of its sweep."""
    name = _name(attempt)
    if tracker.is_deleted(run_id):
        text = f"{name}: its run {run_id} is deleted in MLflow"
        return Finding(text, Remedy.restore, attempt, run_id)
    run = tracker.run(run_id)
    if run is None:
        text = f"{name}: Optuna names run {run_id}, which MLflow does not have"
        sealed = str(attempt.user_attrs.get("manifest", ""))
        remedy = Remedy.again if attempt.state in DONE else Remedy.none
        if remedy is Remedy.again and tracker.is_recoverable(run_id, sealed):
            remedy = Remedy.run
        return Finding(text, remedy, attempt, run_id)
    by = tracker.run(run.tags.get(SUPERSEDED_TAG, ""))
    sealed = str(attempt.user_attrs.get("manifest", ""))
    if by and not by.superseded and (by.key, by.manifest) == (run.key, sealed):
        # a repair was killed after it wrote the run anew
        text = f"{name}: its run {run_id} was written anew as {by.run_id}"
        return Finding(text, Remedy.attempt, attempt, by.run_id)
    if run.superseded:
        return Finding(f"{name}: its run {run_id} is marked as replaced", Remedy.again, attempt)
    text = f"{name}: its run {run_id} is not filed under its sweep"
    return Finding(text, Remedy.refile, attempt, run_id)


def _run_problems(
    attempt: FrozenTrial, run: RecordedTrial, tracker: Tracker, *, alone: bool
) -> Iterator[Finding]:
    """What of a closed run is no longer as it was when it was closed."""
    sealed = str(attempt.user_attrs.get("manifest", "")) if alone else ""
    if attempt.state not in DONE and run.state not in ("finished", "pruned"):
        return
    inspection = tracker.inspect(run.run_id, sealed)
    if inspection.is_unknown and run.state == "finished":
        predictions = tracker.predictions_of(run.run_id)
        for text in score_problems(run, predictions):
            yield Finding(
                f"{run.name}: {text} (run {run.run_id})", Remedy.again, attempt, run.run_id
            )
    # with one seed a trial can be written anew; a configuration of several is run again
    whole = inspection.files is not None and alone
    for text in inspection.problems:
        remedy = Remedy.run if whole else Remedy.again
        yield Finding(f"{run.name}: {text} (run {run.run_id})", remedy, attempt, run.run_id)


def _is_owned(study: SweepStudy, attempt: FrozenTrial, owners: Mapping[str, Owner]) -> bool:
    searched = study.definition is not None
    work = work_of(attempt.number) if searched else trajectory_of(attempt)
    return work in owners
