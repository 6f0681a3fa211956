"""Speed on this machine: `make bench`, or `make bench BENCH="short"`, or some of its parts.

    step      a training step beside a peer and a limit, every backbone, batch 10 and 32
    run       whole training runs with validations beside both
    sweep-alexnet, sweep-googlenet, sweep-googlenet_bvlc
              the paper's ten rows beside ten runs of the peer and seven of the limit
    shares    where the time of the paper's ten rows of AlexNet goes
    heads     a thousand trials of a head above a frozen AlexNet
    prepare   reading and preparing images
    augment   augmenting an image on the CPU and on the device
    engine    plans, trials that train nothing, report and check; `engine trials=5000` for as many
    start     from a command to its answer, its plan and its first training step
    gpu       steps and the paper's twenty rows at full scale on a CUDA device (not among all)

`short` takes one backbone's step and the engine with 100 trials, under five minutes. Numbers are
kept as JSON below `.cache/bench`. The machine has to be quiet: the share of others is shown.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import augment, engine, gpu, prepare, start
from benchmarks.training import compare, heads, paper_rows, shares
from mcalc.trials.provenance import cpu_model

REPEATS = 5
KEPT = Path(".cache/bench")
Part = Callable[[Console], Any]


def parts(trials: int = engine.TRIALS) -> dict[str, Part]:
    """What can be measured, by name; `trials` of the engine."""
    return {
        "step": lambda console: compare.report(compare.every_step(), REPEATS, console),
        "run": lambda console: compare.report(compare.runs(), REPEATS, console),
        **{
            f"sweep-{backbone}": partial(paper_rows.report, backbone=backbone)
            for backbone in paper_rows.SWEEPS
        },
        "shares": shares.report,
        "heads": heads.report,
        "prepare": prepare.report,
        "augment": augment.report,
        "engine": lambda console: engine.report(console, trials),
        "start": start.report,
        "gpu": lambda console: gpu.report(console, REPEATS),
    }


def short() -> dict[str, Part]:
    """A part of it in less than five minutes."""
    works = compare.steps(["alexnet"], [10])
    return {
        "step": lambda console: compare.report(works, REPEATS, console),
        "engine": lambda console: engine.report(console, 100, read=(50, 200)),
    }


def hardware() -> dict[str, Any]:
    """What it was measured on."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": cpu_model(),
        "threads": torch.get_num_threads(),
        "gpu": cuda,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main(arguments: Sequence[str] = ()) -> None:
    """Measure the named parts, or all, print their tables and keep their numbers."""
    named = [word for word in arguments if not word.startswith("trials=")]
    counts = [word.partition("=")[2] for word in arguments if word not in named]
    if any(not count.isdecimal() or int(count) < 3 for count in counts):
        sys.exit("trials= takes a whole number from 3 on, as in trials=5000")
    known = parts(*map(int, counts[-1:]))
    every = {name: part for name, part in known.items() if name != "gpu"}
    chosen = short() if named == ["short"] else every
    for name in named:
        if name not in (*known, "short"):
            sys.exit(f"no part {name!r}: there are short, {', '.join(known)}")
    if named and named != ["short"]:
        chosen = {name: known[name] for name in named}
    console = Console()
    made = {"hardware": hardware(), "began": time.strftime("%Y-%m-%d %H:%M:%S%z")}
    console.print(" · ".join(f"{key} {value}" for key, value in made["hardware"].items()))
    found = {name: part(console) for name, part in chosen.items()}
    KEPT.mkdir(parents=True, exist_ok=True)
    file = KEPT / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    file.write_text(json.dumps({**made, **found}, indent=1))
    console.print(f"kept in {file}")


if __name__ == "__main__":
    main(sys.argv[1:])
