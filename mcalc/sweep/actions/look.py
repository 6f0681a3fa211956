"""Look at recorded sweeps: list, show, url."""

from __future__ import annotations

from rich.table import Table

from mcalc.config import Config, Line, after_training, place_of
from mcalc.console import console
from mcalc.sweep.actions.opening import open_sweeps
from mcalc.sweep.display import summarise
from mcalc.sweep.store import Halts, check_exists, shown, storage_url


def list_sweeps(config: Config, line: Line) -> int:
    """Every sweep with its trials by state."""
    storage, studies = open_sweeps(config, line.names)
    table = Table("sweep", "complete", "pruned", "failed", "running")
    for study in studies:
        states = [attempt.state.name for attempt in study.current()]
        counts = [str(states.count(s)) for s in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")]
        table.add_row(study.name, *counts)
    console.print(table)
    for study in studies:
        if halt := Halts(storage, study.name).now():
            console.print(str(halt))
    console.print(f"recorded in {place_of(config.tracking)}\n{after_training(config.tracking)}")
    return 0


def show(config: Config, line: Line) -> int:
    """The figures of the sweeps named."""
    _, studies = open_sweeps(config, line.names)
    for study in studies:
        summary = summarise(study)
        console.print(f"{study.name}: {summary.as_json()}")
        if len(summary.numerics) > 1:
            console.print(
                f"{study.name} has trials of several versions of the code's numerics: figures over "
                "all of them mix what may differ by the code alone; the command of a sweep of rows "
                "computes anew what an older version did, a search goes on beside it",
                style="yellow",
            )
    console.print(after_training(config.tracking))
    return 0


def url(config: Config, line: Line) -> int:
    """The address of Optuna's store, without a password, which must not stay in a terminal."""
    check_exists(config)
    print(shown(storage_url(config)))
    return 0
