"""The sweep engine at scale: each case in a process of its own, with SQLite's two ways to commit.

    python -m benchmarks engine                  # a plan of 100,000, 1,000 run, 2,000 read back
    python -m benchmarks engine trials=5000      # the same with 5,000 that are run

FULL, which a record uses, waits for the disk at each commit; NORMAL does not, and a power cut may
take the last commits with it.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import event
from sqlalchemy.engine import Engine

from benchmarks.planning import planning
from benchmarks.timed_command import answer_of

TRIALS = 1_000
PLANNED = (10_000, 100_000)
READ = (500, 2_000)
EDGE = 100
"""Trials at each end, and in the middle, that are compared."""
SYNCHRONOUS = ("FULL", "NORMAL")


def _run(case: str, count: int) -> Any:
    if case == "plan":
        return planning(count)
    # late: torch, MLflow and Optuna, which planning does without
    from benchmarks import sweep

    works: dict[str, Callable[[int], Any]] = {
        "run alone": lambda count: sweep.overheads(count, files=False),
        "with files": sweep.overheads,
        "search": lambda count: sweep.overheads(count, search=True, files=False),
        "read": sweep.reading_seconds,
    }
    return works[case](count)


def measure(case: str, count: int, synchronous: str = "FULL") -> Any:
    """What a case gives, in a new process."""
    command = [sys.executable, "-m", "benchmarks.engine", case, str(count), synchronous]
    return answer_of(command, f"{case} of {count}")


def edges(costs: Sequence[float]) -> dict[str, float]:
    """Medians in milliseconds: of all, and of the first, middle and last trials."""
    width = min(EDGE, max(1, len(costs) // 3))
    middle = (len(costs) - width) // 2
    parts = {
        "all": costs,
        "first": costs[:width],
        "middle": costs[middle : middle + width],
        "last": costs[-width:],
    }
    return {name: statistics.median(part) * 1e3 for name, part in parts.items()}


def report(console: Console, trials: int = TRIALS, read: tuple[int, int] = READ) -> dict[str, Any]:
    """Print the tables; returns their numbers. `read`: trials of the records that are read back."""
    found: dict[str, Any] = {"plan": {}, "trials": {}, "read": {}}
    table = Table("a plan of", "seconds", "MB")
    for count in PLANNED:
        one = found["plan"][count] = measure("plan", count)
        table.add_row(f"{count:,} trials", f"{one['seconds']:.1f}", f"{one['MB']:.0f}")
    console.print(table)
    table = Table(
        f"{trials:,} trials, ms", "synchronous", "clock", "all", "first", "middle", "last"
    )
    for case in ("run alone", "with files", "search"):
        for synchronous in SYNCHRONOUS:
            for clock, costs in measure(case, trials, synchronous).items():
                one = found["trials"][f"{case}, {synchronous}, {clock}"] = edges(costs)
                cells = (f"{value:.1f}" for value in one.values())
                table.add_row(case, synchronous, clock, *cells)
    console.print(table)
    table = Table("over", *(f"{count:,} trials, s" for count in read), "ratio")
    each = {count: measure("read", count) for count in read}
    for name in each[read[0]]:
        seconds = [each[count][name] for count in read]
        found["read"][name] = seconds
        table.add_row(name, *(f"{one:.1f}" for one in seconds), f"{seconds[1] / seconds[0]:.2f}")
    console.print(table)
    return found


def main(case: str, count: str, synchronous: str) -> None:
    """Measure one case and print what it gives as JSON."""

    @event.listens_for(Engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.execute(f"PRAGMA synchronous={synchronous}")

    print(json.dumps(_run(case, int(count))))


if __name__ == "__main__":
    main(*sys.argv[1:])
