"""On a CUDA device, `make bench-gpu`: steps beside peer and limit, then the paper's twenty rows.

Images lie and are augmented on the card, as `augment.place=auto` means there; a table has the same
steps with images augmented on the CPU. The rows run at full scale (30 epochs of 1,082 images), one
training run on the card at a time and then several, as a batch of ten leaves most of it idle.
Several processes share a card by turns, or at once where NVIDIA's MPS runs: it is started for the
time of the measurement where its program is there. A compiled limit (torch.compile with CUDA
graphs) says what compiling would gain.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import augment
from benchmarks.timed_command import seconds_of
from benchmarks.training import compare
from benchmarks.training.paper_rows import LESIONS
from benchmarks.training.workload import SIZES

AT_ONCE = (1, 2, 4)
"""Training runs on the card."""
PLACES = ("cpu", "device")
_MPS = "nvidia-cuda-mps-control"


def rows_command(at_once: int, folder: Path, cache: Path) -> list[str]:
    """The twenty rows at full scale, of random weights on phantoms."""
    launcher = []
    if at_once > 1:
        launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={at_once}"]
    return [
        sys.executable, "-m", "mcalc.train", "-m", "sweep=alexnet,googlenet", *launcher,
        f"trials_per_gpu={at_once}", "trainer.accelerator=gpu", "backbone.weights=none",
        "data=phantom", f"data.phantom.lesions={LESIONS}", "trainer=default",
        f"tracking.dir={folder / 'mlruns'}", f"data.cache={cache}",
    ]  # fmt: skip


@contextmanager
def mps(folder: Path) -> Iterator[dict[str, str] | None]:
    """The environment of processes that share the card at once; None where MPS is not there."""
    program = shutil.which(_MPS)
    if program is None:
        yield None
        return
    places = {
        "CUDA_MPS_PIPE_DIRECTORY": str(folder / "mps"),
        "CUDA_MPS_LOG_DIRECTORY": str(folder / "mps-log"),
    }
    for place in places.values():
        Path(place).mkdir()
    environment = {**os.environ, **places}
    started = subprocess.run([program, "-d"], env=environment, capture_output=True, check=False)
    if started.returncode:
        yield None
        return
    try:
        yield environment
    finally:
        subprocess.run(
            [program], input=b"quit\n", env=environment, capture_output=True, check=False
        )


def places(
    console: Console, backbones: Sequence[str] = tuple(SIZES), batches: Sequence[int] = (10, 32)
) -> dict[str, list[float]]:
    """Seconds of mcalc's steps by where images are augmented: on the CPU, on the device."""
    table = Table("workload", *PLACES, title="milliseconds a step by augment.place")
    found: dict[str, list[float]] = {}
    for work in compare.steps(backbones, batches):
        each = [replace(work, place=place) for place in PLACES]
        found[work.name] = [compare.seconds_of(one, compare.measure("ours", one)) for one in each]
        table.add_row(work.name, *(f"{1e3 * seconds:.2f}" for seconds in found[work.name]))
    console.print(table)
    return found


def report(console: Console, repeats: int, at_once: Sequence[int] = AT_ONCE) -> dict[str, Any]:
    """Measure, print tables, and return what they are made of.

    Ends the process with a sentence where PyTorch sees no CUDA device.
    """
    if not torch.cuda.is_available():
        sys.exit("gpu: PyTorch sees no CUDA device here (check nvidia-smi); nothing was measured")
    steps = compare.report(compare.every_step(), repeats, console)
    compiled = Table("workload", "limit", "compiled limit", title="milliseconds a step")
    found: dict[str, Any] = {"step": steps, "compiled": {}, "rows": {}}
    for work in compare.steps(list(SIZES), (10, 32)):
        plain = compare.seconds_of(work, compare.measure("limit", work))
        quick = compare.seconds_of(work, compare.measure("compiled", work))
        found["compiled"][work.name] = [plain, quick]
        compiled.add_row(work.name, f"{1e3 * plain:.2f}", f"{1e3 * quick:.2f}")
    console.print(compiled)
    found["augment"] = augment.report(console)
    found["place"] = places(console)
    rows = Table("runs at once", "MPS", "seconds", title="twenty rows at full scale")
    cache = Path(".cache/bench-phantom").absolute()
    with tempfile.TemporaryDirectory() as folder, mps(Path(folder)) as environment:
        for number in at_once:
            shared = environment if number > 1 else None
            seconds = found["rows"][number] = seconds_of(
                partial(rows_command, number, cache=cache), shared
            )
            rows.add_row(str(number), "yes" if shared else "no", f"{seconds:.0f}")
    console.print(rows)
    return found
