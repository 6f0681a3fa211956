"""Check recorded sweeps, and mend what can be mended."""

from __future__ import annotations

from pathlib import Path

from mcalc.config import Config, Line
from mcalc.console import console
from mcalc.errors import UserError
from mcalc.sqlite_file import copy_database, damage_of, free_name, move_aside
from mcalc.sweep.actions.opening import open_sweeps
from mcalc.sweep.checking.compare import Remedy, check
from mcalc.sweep.checking.repair import repair
from mcalc.sweep.store import Leases, Storage, SweepStudy, database_file
from mcalc.tracking import Tracker, tracking_file
from mcalc.trials import open_tracker


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
    storage, studies = open_sweeps(config, line.names)
    tracker = open_tracker(config)
    copied = not mends
    status = 0
    for study in studies:
        report = check(study, tracker, Leases(storage, study.name))
        if report.findings and not copied:
            _refuse_workers(storage, studies)
            _copy_stores(config)
            copied = True
        counts = ", ".join(f"{number} {state}" for state, number in report.counts.items())
        console.print(f"{study.name}: {counts or 'no trials'}")
        for name in report.unfinished:
            console.print(f"  {name} was cut off: the same command resumes it")
        if mends:
            for text, remedy in repair(study, tracker, report.findings):
                console.print(f"  {text}: {remedy.value}", style="yellow")
            left = _left(study, tracker, storage)
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
    return status


def _left(study: SweepStudy, tracker: Tracker, storage: Storage) -> list[tuple[str, Remedy]]:
    """What a check finds after a repair."""
    report = check(study, tracker, Leases(storage, study.name))
    return [(each.text, each.remedy) for each in report.findings]


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


def _copy_stores(config: Config) -> None:
    for file in _files(config):
        copy = free_name(file, "before-repair")
        copy_database(file, copy)
        console.print(f"{file.name} as it was: {copy}")
