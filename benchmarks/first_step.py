"""A process that writes down when its first training step has ended, ours or the peer's.

`python -m benchmarks.first_step FILE ours ARGUMENTS ...` is `python -m mcalc.train ARGUMENTS ...`;
`python -m benchmarks.first_step FILE peer` trains as `benchmarks.training.peer` does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path


def ours(file: Path, arguments: Sequence[str]) -> None:
    """The command itself, with a note at the display of the first iteration."""
    from mcalc.leaving import run_as_program
    from mcalc.train import main
    from mcalc.training import TrainingProgress

    shown = TrainingProgress.iterated

    def iterated(progress: TrainingProgress, iteration: int) -> None:
        _note(file)
        shown(progress, iteration)

    TrainingProgress.iterated = iterated  # type: ignore[method-assign]
    run_as_program(lambda: main(arguments))


def peer(file: Path) -> None:
    """Two steps of the peer, of AlexNet in batches of ten."""
    from benchmarks.training.stopwatch import Stopwatch
    from benchmarks.training.workload import Workload

    class Noting(Stopwatch):
        def step(self) -> None:
            _note(file)
            super().step()

    from benchmarks.training.peer import run

    run(Workload("alexnet", iterations=2), Noting())


def _note(file: Path) -> None:
    # the clock that all processes of a machine share; the first step's time stays
    if not file.exists():
        file.write_text(str(time.monotonic()))


if __name__ == "__main__":
    if sys.argv[2] == "ours":
        ours(Path(sys.argv[1]), sys.argv[3:])
    else:
        peer(Path(sys.argv[1]))
