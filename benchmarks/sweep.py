"""What the sweep engine itself costs: planning, and a trial that trains nothing."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mcalc.config import PlannedTrial, flatten, is_numeric
from mcalc.config.compose import compose_config
from mcalc.console import console as engine_console
from mcalc.data import IndexedData
from mcalc.results import Outcome
from mcalc.sweep import run_sweep
from mcalc.sweep.planning import make_plans
from mcalc.tracking import Tracker
from mcalc.training import Listener, Placement, resolved
from mcalc.trials import SweepRecord

PLANNED, RUN, EDGE = 10_000, 1_000, 100
"""Trials planned, trials run, and how many at each end are compared."""


def axis(count: int) -> str:
    """That many different learning rates, as a comma list."""
    return "trainer.lr=" + ",".join(f"{1e-6 * (1 + i):.6g}" for i in range(count))


def planning_seconds() -> float:
    """Time to plan `PLANNED` trials from a product on the command line."""
    arguments = [axis(PLANNED // 100), "seed=range(100)"]
    began = time.perf_counter()
    (plan,) = make_plans(arguments, compose_config, resolved, lambda _: "data")
    seconds = time.perf_counter() - began
    if len(plan.trials) != PLANNED:
        raise RuntimeError(f"{len(plan.trials)} trials were planned, not {PLANNED}")
    return seconds


class NoTraining:
    """Stands in for training: records each trial, in full but for tables and figures, at once."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def __call__(
        self,
        trials: Sequence[PlannedTrial],
        _: IndexedData,
        tracker: Tracker,
        listeners: Sequence[Listener],
        within: SweepRecord,
        placement: Placement,
    ) -> list[Outcome]:
        """Open a run, write parameters and metrics, close it, report to the study."""
        outcomes = []
        for trial in trials:
            params = {k: v for k, v in flatten(trial.config).items() if is_numeric(k)}
            writer = tracker.open_trial(trial.name, trial.key, params, {}, within.parent)
            metrics = {f"metric_{i}": float(i) for i in range(20)} | {"accuracy": 0.5, "auc": 0.5}
            outcome = Outcome(trial.name, trial.key, "finished", writer.run_id, metrics)
            for listener in listeners:
                listener.opened(trial, writer.run_id)
                listener.recording(trial)
            writer.finish(metrics, {"mcalc.data": "none"})
            for listener in listeners:
                listener.recorded(outcome)
            outcomes.append(outcome)
            self.ended.append(time.perf_counter())
        return outcomes


def overheads(trials: int = RUN) -> list[float]:
    """Seconds from the end of one trial to the end of the next, on SQLite in a new folder."""
    nothing = NoTraining()
    with tempfile.TemporaryDirectory() as folder:
        quiet = engine_console.quiet
        engine_console.quiet = True
        try:
            run_sweep(
                [
                    axis(trials),
                    f"tracking.dir={Path(folder) / 'mlruns'}",
                    f"data.cache={Path(folder) / 'cache'}",
                    "data.phantom.lesions=8",
                ],
                lambda overrides: replace(compose_config(overrides)),
                execute=nothing,
            )
        finally:
            engine_console.quiet = quiet
    return [b - a for a, b in zip(nothing.ended, nothing.ended[1:], strict=False)]


def report(console: Console) -> None:
    """Print the table."""
    table = Table("sweep engine", "measured", "target")
    table.add_row(f"plan {PLANNED} trials", f"{planning_seconds():.2f} s", "2 s")
    costs = overheads()
    first, last = statistics.median(costs[:EDGE]), statistics.median(costs[-EDGE:])
    table.add_row(
        f"a trial that trains nothing, median of {RUN}",
        f"{statistics.median(costs) * 1e3:.1f} ms",
        "50 ms",
    )
    table.add_row(f"first {EDGE}, median", f"{first * 1e3:.1f} ms", "")
    table.add_row(
        f"last {EDGE}, median", f"{last * 1e3:.1f} ms ({last / first:.2f} x)", "1.5 x the first"
    )
    table.add_row("total of all", f"{sum(costs):.1f} s", "")
    console.print(table)
