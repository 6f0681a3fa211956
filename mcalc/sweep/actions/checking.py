"""Check recorded sweeps, and mend what can be mended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mcalc.config import Config, Line, after_training, place_of, place_setting
from mcalc.console import console
from mcalc.errors import UserError
from mcalc.sqlite_file import copy_database, damage_of, free_name, move_aside
from mcalc.sweep.actions.opening import open_sweeps
from mcalc.sweep.checking.compare import Finding, Remedy, check, check_single_runs
from mcalc.sweep.checking.repair import repair, repair_single_runs
from mcalc.sweep.store import (
    Leases,
    Storage,
    SweepStudy,
    check_exists,
    database_file,
    exists,
    remove_unreadable_rows,
    unreadable_rows,
)
from mcalc.tracking import Tracker, mark_without_study, sweeps_of, tracking_file
from mcalc.trials import open_tracker

_ROUNDS = 4
"""One mend may bring to light what the next one mends."""


def check_sweeps(config: Config, line: Line) -> int:
    """Compare the stores, each run with what it was when it was closed.

    With repair=true what can be mended is, after a copy of the stores was made. Exit status 1 where
    something is not as it should be, and was not mended.
    """
    mends = bool(line.words["repair"])
    if mends:
        _set_damaged_aside(config)
    else:
        _refuse_damaged(config)
    copies = _Copies(config) if mends else None
    unread = _unreadable(config, copies)
    trackings = tracking_file(config.tracking)
    if not exists(config) and not line.names and trackings and trackings.is_file():
        # single trials alone, or a study that was lost
        tracker = open_tracker(config)
        lacks = _lacks_sweeps((), tracker, mends=mends)
        status = max(int(lacks), _check_single_runs(tracker, copies))
        _say_where(config, status, mends=mends)
        return status
    # opening a record that is not there would make one
    check_exists(config)
    tracker = open_tracker(config)
    if unread or _wrong_rows(tracker, copies):
        console.print("the rest is compared once repair=true has mended this", style="red")
        return 1
    storage, studies = open_sweeps(config, line.names)
    if copies:
        copies.before = lambda: _refuse_workers(storage, studies)
    status = 0
    for study in studies:
        report = check(study, tracker, Leases(storage, study.name))
        if report.findings and copies:
            copies.make()
        counts = ", ".join(f"{number} {state}" for state, number in report.counts.items())
        console.print(f"{study.name}: {counts or 'no trials'}")
        for name in report.unfinished:
            console.print(f"  {name} was cut off: the same command resumes it")
        for name in report.earlier:
            console.print(
                f"  {name} is of that row before it was edited; Optuna's part of it is lost"
            )
        instead = "runs it anew" if study.definition is None else "draws another in its place"
        for name in report.outdated:
            console.print(
                f"  {name} was cut off under other numerics of the code: the same command does "
                f"not resume it, but {instead}"
            )
        if mends:
            left = _mended(study, tracker, storage, report.findings)
        else:
            left = [(each.text, each.remedy) for each in report.findings]
        for text, remedy in left:
            console.print(
                f"  {text} ({'' if mends else 'repair=true: '}{remedy.value})", style="red"
            )
        # what the command that made the sweep takes over needs no other repair
        if any(not mends or remedy is not Remedy.command for _, remedy in left):
            status = 1
        elif not left:
            console.print("  Optuna and MLflow agree")
    if not line.names:
        status = max(status, int(_lacks_sweeps(studies, tracker, mends=mends)))
        status = max(status, _check_single_runs(tracker, copies))
    _say_where(config, status, mends=mends)
    return status


def _say_where(config: Config, status: int, *, mends: bool) -> None:
    where = f"checked in {place_of(config.tracking)}"
    if status and not mends:
        again = f"python -m mcalc.sweep check repair=true{place_setting(config.tracking)}"
        console.print(f"{where}; next: `{again}` mends what can be")
    else:
        console.print(f"{where}\n{after_training(config.tracking)}")


def _mended(
    study: SweepStudy, tracker: Tracker, storage: Storage, findings: Sequence[Finding]
) -> list[tuple[str, Remedy]]:
    """Mend what was found, and what is found thereafter; gives what a check finds in the end."""
    for _ in range(_ROUNDS):
        texts = [finding.text for finding in findings]
        for text, remedy in repair(study, tracker, findings):
            console.print(f"  {text}: {remedy.value}", style="yellow")
        findings = check(study, tracker, Leases(storage, study.name)).findings
        if [finding.text for finding in findings] == texts:
            break
        if not [each for each in findings if each.remedy not in (Remedy.none, Remedy.command)]:
            break
    return [(each.text, each.remedy) for each in findings]


def _lacks_sweeps(studies: Sequence[SweepStudy], tracker: Tracker, *, mends: bool) -> bool:
    """Whether MLflow has sweeps that Optuna's store lacks: it was lost, or is another one.

    With `mends` that is marked as known.
    """
    known = {study.name for study in studies}
    lacking = False
    for sweep in sweeps_of(tracker):
        if sweep.name in known or not sweep.finished:
            continue
        text = f"{sweep.name}: MLflow has {sweep.finished} finished runs of this sweep, and Optuna"
        if sweep.without_study:
            console.print(f"{text}'s part of it is lost")
            continue
        console.print(
            f"{text} has no such study: name the store that it was made with (storage=ADDRESS); if "
            "that is lost, the command that made the sweep takes over those of explicit trials "
            "(repair=true: marked as known)",
            style="yellow" if mends else "red",
        )
        if mends:
            mark_without_study(tracker, sweep.parent)
        lacking = lacking or not mends
    return lacking


def _check_single_runs(tracker: Tracker, copies: _Copies | None) -> int:
    """The runs of no sweep; exit status 1 where something is wrong and was not mended."""
    findings = check_single_runs(tracker)
    if not findings:
        if number := len(tracker.single_runs()):
            said = "1, as it was" if number == 1 else f"{number}, as they were"
            console.print(f"runs of no sweep: {said} when closed")
        return 0
    console.print("runs of no sweep:")
    if copies:
        copies.make()
        for text, remedy in repair_single_runs(tracker, findings):
            console.print(f"  {text}: {remedy.value}", style="yellow")
        findings = check_single_runs(tracker)
    for finding in findings:
        console.print(f"  {finding.text} (repair=true: {finding.remedy.value})", style="red")
    return int(bool(findings))


def _unreadable(config: Config, copies: _Copies | None) -> bool:
    """Whether Optuna's file has rows that it cannot read, which were not removed."""
    file = database_file(config)
    found = unreadable_rows(file) if file is not None and file.is_file() else []
    for text in found:
        console.print(f"{file}: {text}", style="yellow" if copies else "red")
    if found and copies and file is not None:
        copies.make()
        remove_unreadable_rows(file)
    return bool(found) and copies is None


def _wrong_rows(tracker: Tracker, copies: _Copies | None) -> bool:
    """Whether MLflow's file has values that cannot be right, which were not mended."""
    rows = tracker.wrong_rows()
    for row in rows:
        console.print(row.text, style="yellow" if copies else "red")
    if rows and copies:
        copies.make()
        tracker.mend_rows(rows)
    return bool(rows) and copies is None


def _files(config: Config) -> list[Path]:
    """The databases of the record that are files on this machine."""
    found = [database_file(config), tracking_file(config.tracking)]
    return [file for file in found if file is not None and file.exists()]


def _refuse_damaged(config: Config) -> None:
    for file in _files(config):
        if why := damage_of(file):
            raise UserError(
                f"{file} is damaged ({why}): put a copy of it back, or let repair=true set it "
                "aside; what it held is then read from the other store as far as that has it"
            )


def _set_damaged_aside(config: Config) -> None:
    for file in _files(config):
        if why := damage_of(file):
            console.print(
                f"{file} is damaged ({why}): kept as {move_aside(file, 'damaged').name}",
                style="yellow",
            )


def _refuse_workers(storage: Storage, studies: list[SweepStudy]) -> None:
    for study in studies:
        for work, owner in Leases(storage, study.name).owners().items():
            raise UserError(
                f"{owner} works at {study.name} ({work}): end it, or wait for it, before "
                "repair=true"
            )


class _Copies:
    """Copies of both stores, made before the first thing is mended."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.before: Callable[[], None] = lambda: None
        """Called before they are made: raises UserError where nothing may be mended."""
        self._made = False

    def make(self) -> None:
        """Make them, once."""
        if self._made:
            return
        self.before()
        for file in _files(self.config):
            copy = free_name(file, "before-repair")
            copy_database(file, copy)
            console.print(f"{file.name} as it was: {copy}")
        self._made = True
