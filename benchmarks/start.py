"""How long commands take to begin and to end: answers, a plan, the first training step.

Each process is measured in turns with the others: what else the machine does meets all of them.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.training.compare import quartiles, ratios

REPEATS = 5
CACHE = Path(".cache/bench-start")
"""Phantoms, drawn, indexed and prepared by an earlier run."""
HYDRA, PEER = "import hydra", "peer: first step"
_WHOLE = "whole command"


@dataclass(frozen=True)
class Case:
    """A process that is measured."""

    command: Sequence[str]
    """After the interpreter's name."""
    beside: str
    """The case that it is compared with."""
    status: int = 0
    """With which it has to end."""
    steps: bool = False
    """Whether it is measured up to its first training step, and to its end as well."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside that of this process."""


def data_settings() -> list[str]:
    """Small phantoms, as what is measured is not their number."""
    return [
        "data=phantom", "data.phantom.lesions=120", "backbone=alexnet", "backbone.weights=none",
        f"data.cache={CACHE.absolute()}",
    ]  # fmt: skip


def trial(folder: Path, seed: int) -> list[str]:
    """Settings of a trial of two iterations in the record below a folder."""
    return [
        *data_settings(), "name=start", "trainer.max_iterations=2", f"seed={seed}",
        f"tracking.dir={folder}",
    ]  # fmt: skip


def cases(folder: Path, turn: int) -> dict[str, Case]:
    """What is measured in a turn, by name; `folder` has the record of an earlier trial."""
    train = ["-m", "mcalc.train"]
    plan = ["-m", "sweep=alexnet", *data_settings(), f"tracking.dir={folder / 'old'}"]
    step = ["-m", "benchmarks.first_step", str(folder / "mark")]
    return {
        HYDRA: Case(["-c", "import hydra"], HYDRA),
        "--help": Case([*train, "--help"], HYDRA),
        "a mistyped key": Case([*train, "head.wieght_lr=1"], HYDRA, status=2),
        "a sweep's mistake": Case([*train, *plan, "trainer.lr=1,-1"], HYDRA, status=2),
        "a sweep that is not there": Case([*train, "-m", "sweep=alexnte"], HYDRA, status=2),
        "a data set that is not there": Case(
            [*train, "data=cbis_ddsm", "data.root=nowhere"], HYDRA, status=2
        ),
        "weights that are not there": Case(
            [*train, "-m", "head.weight_lr=1,2", "backbone.weights=nowhere.pth"], HYDRA, status=2
        ),
        "a store that is none": Case(
            [*train, "-m", "head.weight_lr=1,2", "storage=host:5432"], HYDRA, status=2
        ),
        "a record that is not there": Case(
            ["-m", "mcalc.report", f"tracking.dir={folder / 'nowhere'}"], HYDRA, status=2
        ),
        "dry_run of sweep=alexnet": Case([*train, *plan, "dry_run=true"], HYDRA),
        # no speed was recorded there, and no step measured
        "the first dry_run": Case(
            [*train, *plan, "dry_run=true", f"tracking.dir={folder / f'none {turn}'}"],
            HYDRA,
            environment={"XDG_CACHE_HOME": str(folder / f"cache {turn}")},
        ),
        "first step, in a record": Case(
            [*step, "ours", *trial(folder / "old", turn + 1)], PEER, steps=True
        ),
        "first step, in a new record": Case(
            [*step, "ours", *trial(folder / f"new {turn}", turn + 1)], PEER, steps=True
        ),
        PEER: Case([*step, "peer"], PEER, steps=True),
    }


def measure(case: Case, mark: Path) -> dict[str, float]:
    """Seconds of a new process, and the share of the processors that others took."""
    mark.unlink(missing_ok=True)
    busy, own = _busy(), _own()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *case.command], capture_output=True, text=True, check=False,
        env={**os.environ, **case.environment},
    )  # fmt: skip
    whole = time.monotonic() - began
    if done.returncode != case.status:
        raise RuntimeError(f"{case.command} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    others = max(0.0, (_busy() - busy) - (_own() - own)) / (whole * (os.cpu_count() or 1))
    seconds = float(mark.read_text()) - began if case.steps else whole
    return {"seconds": seconds, _WHOLE: whole, "others": others}


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _own() -> float:
    """Processor time of this process and of those that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure_all(repeats: int, console: Console) -> dict[str, list[dict[str, float]]]:
    """Each case so often, in turns."""
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # data is drawn and prepared once, and a record begun
        measure(Case(["-m", "mcalc.train", *trial(folder / "old", 0)], PEER), folder / "mark")
        for turn in track(range(repeats), "start", console=console, transient=True):
            for title, case in cases(folder, turn).items():
                found.setdefault(title, []).append(measure(case, folder / "mark"))
    return found


def summary(
    found: Mapping[str, Sequence[Mapping[str, float]]], beside: Mapping[str, str]
) -> dict[str, Any]:
    """Quartiles of each case, ratios to the one that it is compared with, share of others."""
    seconds = {name: [one["seconds"] for one in each] for name, each in found.items()}
    return {
        name: {
            "seconds": quartiles(seconds[name]),
            "fastest": min(seconds[name]),
            "ratio": quartiles(ratios(seconds[name], seconds[beside[name]])),
            _WHOLE: quartiles([one[_WHOLE] for one in each]),
            "others": max(one["others"] for one in each),
            "results": list(each),
        }
        for name, each in found.items()
    }


def report(console: Console) -> dict[str, Any]:
    """Measure, print a table, and return what it is made of."""
    listed = cases(Path(), 0)
    beside = {name: case.beside for name, case in listed.items()}
    made = summary(measure_all(REPEATS, console), beside)
    table = Table(
        "start", "seconds", "fastest", "times", "", _WHOLE, "others",
        title=rf"median \[quartiles] of {REPEATS} processes in turns",
    )  # fmt: skip
    for name, each in made.items():
        table.add_row(
            name, _three(each["seconds"]), f"{each['fastest']:.2f}", _three(each["ratio"]),
            beside[name], _three(each[_WHOLE]) if listed[name].steps else "",
            f"{each['others']:.0%}",
        )  # fmt: skip
    console.print(table)
    return made


def _three(values: Sequence[float]) -> str:
    low, middle, high = values
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"
