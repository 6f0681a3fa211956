"""mcalc beside a peer and a limit, in turns, each measurement in a process of its own."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.timed_command import answer_of
from benchmarks.training.workload import SIZES, Workload

KINDS = ("peer", "ours", "limit")
Results = dict[str, list[dict[str, Any]]]
"""Kind -> what each process measured."""


def steps(backbones: Sequence[str], batches: Sequence[int]) -> list[Workload]:
    """Single steps."""
    return [Workload(name, batch) for batch in batches for name in backbones]


def runs() -> list[Workload]:
    """Whole runs with validations."""
    return [
        Workload("alexnet", iterations=150, val_every=50),
        Workload("googlenet_bvlc", iterations=50, val_every=50),
    ]


def every_step() -> list[Workload]:
    """Every backbone at both batch sizes."""
    return steps(list(SIZES), (10, 32))


def measure(kind: str, work: Workload) -> dict[str, Any]:
    """Times of one kind, measured in a new process."""
    command = [sys.executable, "-m", "benchmarks.training.case", kind, json.dumps(work.plain())]
    found: dict[str, Any] = answer_of(command, f"{kind} of {work.name}")
    return found


def compare(work: Workload, repeats: int, console: Console) -> Results:
    """Each kind measured so often, in turns: what else the machine does meets all of them."""
    found: Results = {kind: [] for kind in KINDS}
    for repeat in track(range(repeats), work.name, console=console, transient=True):
        for kind in KINDS[repeat % 3 :] + KINDS[: repeat % 3]:
            found[kind].append(measure(kind, work))
    return found


def seconds_of(work: Workload, one: dict[str, Any]) -> float:
    """What is compared: a whole run's time, or the median of its steps."""
    return float(one["total"] if work.val_every else statistics.median(one["steps"]))


def summary(work: Workload, results: Results) -> dict[str, Any]:
    """Medians with quartiles, ratios of turns, and validation beside a bare forward."""
    times = {kind: [seconds_of(work, one) for one in results[kind]] for kind in KINDS}
    found: dict[str, Any] = {
        "workload": work.plain(),
        "seconds": {kind: quartiles(values) for kind, values in times.items()},
        "peer / ours": quartiles(ratios(times["peer"], times["ours"])),
        "limit / ours": quartiles(ratios(times["limit"], times["ours"])),
        "others": max(one["others"] for kind in KINDS for one in results[kind]),
        "results": results,
    }
    if work.val_every:
        spent = {k: [statistics.median(o["validations"]) for o in results[k]] for k in KINDS}
        found["validation seconds"] = {kind: quartiles(values) for kind, values in spent.items()}
        found["validation / forward"] = quartiles(ratios(spent["ours"], spent["limit"]))
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Of what was measured in the same turn."""
    return [a / b for a, b in zip(above, below, strict=True)]


def quartiles(values: Sequence[float]) -> list[float]:
    """First quartile, median, third."""
    if len(values) < 2:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def report(works: Sequence[Workload], repeats: int, console: Console) -> list[dict[str, Any]]:
    """Measure, print a table, and return what it is made of."""
    title = f"training: median [quartiles] of {repeats} processes in turns"
    table = Table(
        "workload", "peer", "mcalc", "limit", "peer / mcalc", "limit / mcalc",
        "validation / forward", "others", title=title,
    )  # fmt: skip
    found = []
    for work in works:
        each = summary(work, compare(work, repeats, console))
        found.append(each)
        table.add_row(
            work.name,
            *(_time(each["seconds"][kind], whole=bool(work.val_every)) for kind in KINDS),
            _ratio(each["peer / ours"]),
            _ratio(each["limit / ours"]),
            _ratio(each["validation / forward"]) if work.val_every else "",
            f"{each['others']:.0%}",
        )
    console.print(table)
    return found


def _time(three: Sequence[float], *, whole: bool) -> str:
    low, middle, high = three
    if whole:
        return f"{middle:.1f} s [{low:.1f}, {high:.1f}]"
    return f"{1e3 * middle:.0f} ms [{1e3 * low:.0f}, {1e3 * high:.0f}]"


def _ratio(three: Sequence[float]) -> str:
    low, middle, high = three
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"
