"""Where the time of a sweep goes: its arithmetic, and all else that its one process does."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from benchmarks.timed_command import answer_of
from benchmarks.training.paper_rows import CACHE, SWEEPS, command, prepare
from mcalc.importing import large_imports
from mcalc.train import main as train

if TYPE_CHECKING:
    from mcalc.sweep.worker.context import Execute, WorkerContext

REPEATS = 3
ARITHMETIC = ("forward", "backward", "update", "validation")
Seconds = dict[str, float]


class Clock:
    """Seconds of the main thread by what it does: each second counts once, for the innermost."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(ARITHMETIC, 0.0)
        self._inside: list[float] = []
        """Of each call that has not returned, what calls inside it took."""

    def timed(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time is counted."""

        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **named)
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                seconds = time.perf_counter() - began
                self.spent[kind] += seconds - self._inside.pop()
                if self._inside:
                    self._inside[-1] += seconds

        return call


@contextmanager
def watched() -> Iterator[Seconds]:
    """Seconds that the main thread spends in each kind of arithmetic from here on.

    PyTorch is imported where the command itself does it.
    """
    # late: in `large_imports`, as the command does it
    with large_imports():
        from mcalc.sweep.worker.context import WorkerContext

    clock = Clock()
    find = WorkerContext._execute_or_train
    with ExitStack() as stack:

        def found(context: WorkerContext) -> Execute:
            execute = find(context)
            if not watches:
                watches.append(True)
                stack.enter_context(timed_by(clock))
            return execute

        watches: list[bool] = []
        stack.enter_context(patch.object(WorkerContext, "_execute_or_train", found))
        yield clock.spent


@contextmanager
def timed_by(clock: Clock) -> Iterator[None]:
    """While inside, the clock counts the arithmetic of the main thread."""
    import torch

    from mcalc.models import Classifier
    from mcalc.training import validation

    # Lightning hands forward and backward to the optimizer's step
    places: dict[str, tuple[Any, str]] = {
        "forward": (Classifier, "training_step"),
        "backward": (torch.Tensor, "backward"),
        "update": (torch.optim.SGD, "step"),
        "validation": (validation, "predict"),
    }
    with ExitStack() as stack:
        for kind, (owner, name) in places.items():
            timed = clock.timed(kind, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, timed))
        yield


def measure(arguments: Sequence[str], began: float) -> Seconds:
    """Train as `python -m mcalc.train` with these arguments does; `total` since `began`.

    Raises RuntimeError where it fails.
    """
    with watched() as spent:
        if status := train(arguments):
            raise RuntimeError(f"it ended with status {status}")
    return {**spent, "total": time.time() - began}


def report(console: Console, backbone: str = "alexnet") -> list[Seconds]:
    """Measure the paper's ten rows, print a table, and return what it is made of."""
    prepare(backbone)
    found = [_in_a_process(backbone) for _ in range(REPEATS)]
    table = Table(
        "part", "seconds", "share", title=f"ten rows of {SWEEPS[backbone]}; medians of {REPEATS}"
    )
    rows = {kind: [each[kind] for each in found] for kind in ARITHMETIC}
    rows["all else"] = [each["total"] - sum(each[kind] for kind in ARITHMETIC) for each in found]
    for kind, seconds in rows.items():
        shares = [part / each["total"] for part, each in zip(seconds, found, strict=True)]
        middle = statistics.median(seconds)
        table.add_row(kind, f"{middle:.1f}", f"{statistics.median(shares):.1%}")
    console.print(table)
    return found


def _in_a_process(backbone: str) -> Seconds:
    with tempfile.TemporaryDirectory() as folder:
        python, _, _, *arguments = command(backbone, Path(folder), CACHE)
        # told by its parent: what the system says of a process's start is up to a second off
        words = [python, "-m", "benchmarks.training.shares", repr(time.time()), *arguments]
        found: Seconds = answer_of(words, f"the rows of {backbone}")
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[2:], float(sys.argv[1]))))
