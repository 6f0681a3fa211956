"""Compare the two stores of recorded sweeps."""

from __future__ import annotations

from mcalc.config import Config, Line
from mcalc.console import console
from mcalc.sweep.actions.opening import open_sweeps
from mcalc.sweep.checking.compare import check
from mcalc.sweep.store import Leases
from mcalc.trials import open_tracker


def check_sweeps(config: Config, line: Line) -> int:
    """Compare Optuna and MLflow; exit status 1 where they differ."""
    storage, studies = open_sweeps(config, line.names)
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
