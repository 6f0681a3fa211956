"""The sweep commands: list, check, show, url."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
from rich.table import Table

from mcalc.config import Config, Line
from mcalc.console import console
from mcalc.errors import UserError, nearest
from mcalc.sweep.consistency import check
from mcalc.sweep.display import summarise
from mcalc.sweep.store import Leases, Storage, SweepStudy, exists, shown, storage_url
from mcalc.trials import open_tracker


def run(line: Line) -> int:
    """Run one command; returns the exit status."""
    config = line.config()
    if not exists(config):
        raise UserError(
            f"no sweep is recorded in {Path(config.tracking.dir).resolve()}: name the record's "
            "folder with tracking.dir=PATH, or the store with storage=URL"
        )
    commands = {"list": _list, "check": _check, "show": _show, "url": _url}
    return commands[line.action](config, line.names)


def _open(config: Config, names: Sequence[str]) -> tuple[Storage, list[SweepStudy]]:
    storage = Storage(storage_url(config), config.storage_wait)
    known = optuna.get_all_study_names(storage.optuna)
    for name in names:
        if name not in known:
            raise UserError(
                f"no sweep {name!r} is recorded{nearest(name, known)} "
                f"(there are {', '.join(known) or 'none'})"
            )
    studies = [SweepStudy.find(storage, name) for name in names or known]
    return storage, [study for study in studies if study is not None]


def _list(config: Config, names: Sequence[str]) -> int:
    _, studies = _open(config, names)
    table = Table("sweep", "complete", "pruned", "failed", "running")
    for study in studies:
        states = [attempt.state.name for attempt in study.current()]
        counts = [str(states.count(s)) for s in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")]
        table.add_row(study.name, *counts)
    console.print(table)
    return 0


def _check(config: Config, names: Sequence[str]) -> int:
    storage, studies = _open(config, names)
    tracker = open_tracker(config)
    status = 0
    for study in studies:
        report = check(study, tracker, Leases(storage, study.name))
        counts = ", ".join(f"{number} {state}" for state, number in report.counts.items())
        console.print(f"{study.name}: {counts or 'no trials'}")
        for name in report.unfinished:
            console.print(f"  {name} was cut off: the same command resumes it")
        for difference in report.differences:
            console.print(f"  {difference}", style="red")
        if report.differences:
            status = 1
        else:
            console.print("  Optuna and MLflow agree")
    return status


def _show(config: Config, names: Sequence[str]) -> int:
    if not names:
        raise UserError("show needs the name of a sweep: `python -m mcalc.sweep list` has them")
    _, studies = _open(config, names)
    for study in studies:
        console.print(f"{study.name}: {summarise(study).as_json()}")
    return 0


def _url(config: Config, names: Sequence[str]) -> int:
    # without a password, which must not stay in a terminal's history
    print(shown(storage_url(config)))
    return 0
