"""Ten rows of the paper as one sweep, beside ten runs of the peer and seven of the limit.

Ten rows are seven training runs, as trials that differ in patience alone share one.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.timed_command import seconds_of
from benchmarks.training.compare import measure
from benchmarks.training.workload import Workload

ROWS, RUNS = 10, 7
REPEATS = 3
LESIONS = 1546
"""Of which the paper's protocol holds 464 out."""
SWEEPS = {
    "alexnet": "sweep=alexnet",
    "googlenet": "sweep=googlenet",
    "googlenet_bvlc": "sweep=googlenet backbone=googlenet_bvlc",
}
"""Backbones, and how their ten rows are asked for."""
CACHE = Path(".cache/bench-phantom").absolute()
"""Phantoms and what is prepared of them."""


def workload(backbone: str) -> Workload:
    """One of its training runs."""
    return Workload(backbone, iterations=100, val_every=50)


def command(backbone: str, folder: Path, cache: Path) -> list[str]:
    """The sweep, of random weights on phantoms."""
    work = workload(backbone)
    return [
        sys.executable, "-m", "mcalc.train", "-m", *SWEEPS[backbone].split(), "data=phantom",
        f"data.phantom.lesions={LESIONS}", "backbone.weights=none", "trainer=default",
        f"trainer.max_iterations={work.iterations}", f"trainer.val_every={work.val_every}",
        f"tracking.dir={folder / 'mlruns'}", f"data.cache={cache}",
    ]  # fmt: skip


def _timed(kind: str, work: Workload) -> tuple[float, float]:
    """Seconds of a process and of its training."""
    began = time.perf_counter()
    found = measure(kind, work)
    return time.perf_counter() - began, float(found["total"])


def prepare(backbone: str) -> None:
    """Draw and prepare the phantoms, once, as data is: one iteration of each row."""
    seconds_of(lambda folder: [*command(backbone, folder, CACHE), "trainer.max_iterations=1"])


def report(console: Console, backbone: str) -> dict[str, Any]:
    """Measure in turns, print a table, and return what it is made of."""
    work = workload(backbone)
    prepare(backbone)
    ours, peers, limits = [], [], []
    for _ in range(REPEATS):
        peers.append(_timed("peer", work))
        limits.append(_timed("limit", work))
        ours.append(seconds_of(partial(command, backbone, cache=CACHE)))
    peer = statistics.median(whole for whole, _ in peers)
    limit = statistics.median(training for _, training in limits)
    sweep = statistics.median(ours)
    table = Table(
        "sweep of ten rows", "seconds", "", title=f"{work.name}; medians of {REPEATS}, in turns"
    )
    table.add_row("mcalc, the whole command", f"{sweep:.0f}", f"{min(ours):.0f}-{max(ours):.0f}")
    table.add_row(f"{ROWS} runs of the peer", f"{ROWS * peer:.0f}", f"{ROWS * peer / sweep:.2f} x")
    table.add_row(f"{RUNS} of the limit", f"{RUNS * limit:.0f}", f"{sweep / (RUNS * limit):.2f} x")
    console.print(table)
    return {"ours": ours, "peer": peers, "limit": limits}
