"""Progress and an estimate for all that takes long: a bar on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from mcalc.results import CurvePoint

_QUIET_SECONDS = 15.0
"""Without a terminal, a line at most this often."""


@contextmanager
def counting(console: Console, title: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) to call as work goes on; shows nothing for work that is not done."""
    with _bar(console) as bar:
        task = None
        last = time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal task, last
            if task is None:
                task = bar.add_task(title, total=total, note="")
                if not console.is_terminal:
                    console.print(f"{title}: {total}")
            bar.update(task, completed=done, total=total)
            if not console.is_terminal and time.monotonic() - last > _QUIET_SECONDS:
                last = time.monotonic()
                console.print(f"{title}: {done} of {total}")

        yield update


class TrainingProgress(pl.Callback):
    """Iterations done of those at most to come, with the last validation loss.

    The estimate is an upper bound: patience may end the run before.
    """

    def __init__(self, console: Console, title: str, total: int) -> None:
        self.console = console
        self.title = title
        self.total = total
        self.note = ""
        self.began = self.last = time.monotonic()
        self.bar = _bar(console)
        self.task: Any = None

    def show(self, point: CurvePoint) -> None:
        """Take in the newest evaluation."""
        self.note = f"val loss {point.val_loss:.4f}, accuracy {point.val_accuracy:.3f}"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the display."""
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.total, note=self.note)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Move on by an iteration."""
        done = trainer.global_step
        self.bar.update(self.task, completed=done, note=self.note)
        now = time.monotonic()
        if not self.console.is_terminal and now - self.last > _QUIET_SECONDS:
            self.last = now
            left = (now - self.began) / done * (self.total - done)
            self.console.print(
                f"  {self.title}: iteration {done} of at most {self.total}, {self.note}, "
                f"at most {left:.0f} s left"
            )

    def on_train_end(self, *_: Any) -> None:
        """End the display."""
        self.bar.stop()

    def on_exception(self, *_: Any) -> None:
        """End the display, so that an error is seen below it."""
        self.bar.stop()


def _bar(console: Console) -> Progress:
    return Progress(
        # in a narrow terminal the name gives way, not the estimate
        TextColumn("{task.description}", markup=False, table_column=Column(max_width=20)),
        BarColumn(bar_width=12),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
