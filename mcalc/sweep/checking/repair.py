"""Mend what a check found, from what is recorded. No result is invented.

Nothing is deleted: an entry that is wrong is marked, and a right one is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from optuna.trial import FrozenTrial

from mcalc.results import RecordedTrial
from mcalc.sweep.checking.attempt import identity_of
from mcalc.sweep.checking.compare import Finding, Remedy, title_of
from mcalc.sweep.store import DEFINITION, EVALUATED, SweepStudy, run_ids
from mcalc.sweep.worker import let_count
from mcalc.tracking import Tracker, interrupt

_REPAIRED = "nothing: its record was damaged"


def repair(
    study: SweepStudy, tracker: Tracker, findings: Iterable[Finding]
) -> Iterator[tuple[str, Remedy]]:
    """Mend each finding that can be; gives its text and what was done.

    Of several trials of one name, the one that counted before counts afterwards too.
    """
    counting = {
        str(each.user_attrs["name"]): str(each.user_attrs["key"])
        for each in study.current()
        if "key" in each.user_attrs
    }
    done: set[tuple[int | None, str | None]] = set()
    for finding in findings:
        number = finding.attempt.number if finding.attempt else None
        # several findings of one trial, or of one run, have one remedy
        subject = (number, None if number is not None else finding.run_id)
        if subject not in done or subject == (None, None):
            _mend(study, tracker, finding)
            done.add(subject)
        yield finding.text, finding.remedy
    parent = study.parent()
    let_count(study, tracker, counting, tracker.runs_of(parent) if parent else ())


def repair_single_runs(
    tracker: Tracker, findings: Iterable[Finding]
) -> Iterator[tuple[str, Remedy]]:
    """The same for what was found of runs that belong to no sweep."""
    done: set[str | None] = set()
    for finding in findings:
        if finding.run_id is not None and finding.run_id not in done:
            if finding.remedy is Remedy.single:
                tracker.rewrite(finding.run_id, "", None)
            else:
                tracker.supersede(finding.run_id, _REPAIRED)
            done.add(finding.run_id)
        yield finding.text, finding.remedy


def _mend(study: SweepStudy, tracker: Tracker, finding: Finding) -> None:
    attempt, run_id = finding.attempt, finding.run_id
    if finding.remedy is Remedy.parent:
        _new_parent(study, tracker)
    elif run_id is not None and finding.remedy is Remedy.restore:
        tracker.restore(run_id)
    elif run_id is not None and finding.remedy is Remedy.refile:
        tracker.file_under(run_id, str(study.parent()))
    elif run_id is not None and finding.remedy is Remedy.abandon:
        tracker.abandon(run_id)
    elif run_id is not None and finding.remedy is Remedy.supersede:
        tracker.supersede(run_id, _REPAIRED)
    elif attempt is not None and finding.remedy is Remedy.adopt:
        study.void(attempt.number, finding.text)
    elif attempt is not None and finding.remedy is Remedy.again:
        if run_id is not None and tracker.run(run_id) is not None:
            tracker.supersede(run_id, _REPAIRED)
        study.void(attempt.number, finding.text)
    elif attempt is not None and run_id is not None and finding.remedy is Remedy.attempt:
        run = tracker.run(run_id)
        assert run is not None  # it was read a moment ago
        _rewrite_attempt(study, tracker, attempt, run)
    elif attempt is not None and run_id is not None and finding.remedy is Remedy.run:
        sealed = str(attempt.user_attrs.get("manifest", ""))
        run = tracker.run(run_id)
        sealed = sealed or (run.manifest if run else "")
        new = tracker.rewrite(run_id, sealed, study.parent())
        _rewrite_attempt(study, tracker, attempt, new)
    elif attempt is not None and finding.remedy is Remedy.redraw:
        for each in run_ids(attempt):
            interrupt(tracker, each, finding.text)
            tracker.supersede(each, _REPAIRED)
        study.void(attempt.number, finding.text)
    elif attempt is not None and finding.remedy is Remedy.void:
        study.void(attempt.number, finding.text)
    elif run_id is not None and finding.remedy is Remedy.rename:
        if run := tracker.run(run_id):
            study.rename(run.name)
    elif finding.remedy is Remedy.title:
        tracker.title_sweep(str(study.parent()), study.name, title_of(study.name))


def _rewrite_attempt(
    study: SweepStudy, tracker: Tracker, attempt: FrozenTrial, run: RecordedTrial
) -> None:
    """Add an entry of a trial with the figures of its run; the one before counts no longer."""
    number, identity = attempt.number, identity_of(study, attempt, run)
    definition = study.facts().get(DEFINITION)
    objective = None if definition is None else str(definition["objective"])
    column, figure = (objective, f"reported_{objective}") if objective else (EVALUATED, "accuracy")
    evaluations = [float(getattr(point, column)) for point in tracker.curve_of(run.run_id)]
    value = run.metrics.get(figure)
    study.rewrite(number, run.outcome, value, evaluations, identity)


def _new_parent(study: SweepStudy, tracker: Tracker) -> None:
    runs = [run_id for attempt in study.attempts() for run_id in run_ids(attempt)]
    parent = tracker.open_sweep(study.name, title_of(study.name), {})
    for run_id in runs:
        if tracker.run(run_id) is not None:
            tracker.file_under(run_id, parent)
    study.parent(parent)
