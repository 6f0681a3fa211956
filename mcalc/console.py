"""Progress and an estimate for all that takes long: a bar on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from mcalc.results import CurvePoint

console = Console(highlight=False, soft_wrap=True, markup=False)
"""The one console of a process: bars stay below what is printed. No markup, as names and errors
may hold brackets."""

_QUIET_SECONDS = 15.0
"""Without a terminal, a line at most this often."""


class Display:
    """The bars of a console: one a task, under each other; nothing where it is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = _bar(console)

    @contextmanager
    def shown(self) -> Iterator[Display]:
        """Inside, the bars are on the screen."""
        self.bars.start()
        try:
            yield self
        finally:
            self.bars.stop()

    def add(self, title: str, total: float | None) -> TaskID:
        """A further bar, below those there are."""
        return self.bars.add_task(title, total=total, note="")

    def update(self, task: TaskID, done: float, note: str, total: float | None = None) -> None:
        """Move a bar on."""
        self.bars.update(task, completed=done, note=note, total=total)

    def remove(self, task: TaskID) -> None:
        """Take a bar away."""
        self.bars.remove_task(task)


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

    def __init__(
        self, console: Console, title: str, total: int, display: Display | None = None
    ) -> None:
        self.console = console
        self.title = title
        self.total = total
        self.note = ""
        self.began = self.last = time.monotonic()
        self.before = 0
        self.own = display is None
        self.display = display or Display(console)
        self.task: TaskID | None = None

    def resume(self, iteration: int) -> None:
        """Begin at an iteration that an earlier process reached."""
        self.before = iteration

    def show(self, point: CurvePoint) -> None:
        """Take in the newest evaluation."""
        self.note = f"val loss {point.val_loss:.4f}, accuracy {point.val_accuracy:.3f}"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the display."""
        if self.own:
            self.display.bars.start()
        self.began = time.monotonic()
        self.task = self.display.add(self.title, self.total)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object, **__: object) -> None:
        """Move on by an iteration."""
        done = self.before + trainer.global_step
        if self.task is not None:
            self.display.update(self.task, done, self.note, self.total)
        now = time.monotonic()
        if not self.console.is_terminal and now - self.last > _QUIET_SECONDS:
            self.last = now
            left = (now - self.began) / trainer.global_step * (self.total - done)
            self.console.print(
                f"  {self.title}: iteration {done} of at most {self.total}, {self.note}, "
                f"at most {left:.0f} s left"
            )

    def on_train_end(self, *_: object) -> None:
        """End the display."""
        self._end()

    def on_exception(self, *_: object) -> None:
        """End the display, so that an error is seen below it."""
        self._end()

    def _end(self) -> None:
        if self.task is not None:
            self.display.remove(self.task)
            self.task = None
        if self.own:
            self.display.bars.stop()


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
