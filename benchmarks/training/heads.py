"""A thousand trials of a head above a frozen AlexNet: rates, L2 factors and patience.

Features are computed first, or read from the cache; trials that differ in patience share a run.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.timed_command import seconds_of
from benchmarks.training.paper_rows import LESIONS

GRID = (
    "head.weight_lr=1,2,3,5,7,10,15,20,30,50",
    "head.weight_l2=0.1,0.2,0.5,1,2,5,10,20,50,100",
    "stopping.patience=1,2,3,4,5,6,8,10,15,20",
)
TRIALS = 1000
ITERATIONS = 300


def command(folder: Path, cache: Path) -> list[str]:
    """The sweep, of random weights on phantoms."""
    return [
        sys.executable, "-m", "mcalc.train", "-m", *GRID, "backbone=alexnet", "backbone.freeze=all",
        "backbone.weights=none", "data=phantom", f"data.phantom.lesions={LESIONS}",
        f"trainer.max_iterations={ITERATIONS}", "trainer.val_every=10", "name=heads",
        f"tracking.dir={folder / 'mlruns'}", f"data.cache={cache}",
    ]  # fmt: skip


def report(console: Console) -> dict[str, Any]:
    """Measure the whole command once with features to compute and once with features there."""
    cache = Path(".cache/bench-phantom").absolute()
    table = Table("thousand heads", "seconds", "ms a trial")
    found = {}
    # phantoms are drawn and prepared once, as data is
    seconds_of(lambda folder: [*command(folder, cache), "dry_run=true"])
    for file in (cache / "features").glob("*.npy"):
        file.unlink()
    for state in ("features computed", "features there"):
        seconds = seconds_of(partial(command, cache=cache))
        found[state] = seconds
        table.add_row(state, f"{seconds:.0f}", f"{1e3 * seconds / TRIALS:.0f}")
    console.print(table)
    return found
