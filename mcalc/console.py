"""The console, and progress with an estimate: a bar on a terminal, otherwise plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import progress
from rich.console import Console, ConsoleDimensions
from rich.table import Column
from rich.text import Text

from mcalc.line_breaks import wrapped


class PlainConsole(Console):
    """Rich's console, whose process ends as `leaving` says where the reader has gone."""

    def on_broken_pipe(self) -> None:
        """Raise the error again, for `leaving` to end with: rich's status, 1, is a verdict here."""
        raise


class _Console(PlainConsole):
    """A console that breaks lines between words on a terminal, and nowhere in a file or a pipe.

    A word longer than a line, as a path, stays whole, so that it can be copied.
    """

    @property
    def size(self) -> ConsoleDimensions:
        """As rich's, which takes COLUMNS=0 as it stands; elsewhere it means that nobody knows."""
        found = super().size
        return found if found.width else ConsoleDimensions(_UNKNOWN_WIDTH, found.height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's."""
        if self.is_terminal and all(isinstance(o, str) for o in objects):
            objects = tuple(wrapped(each, self.width) for each in objects)
        super().print(*objects, **options)


console = _Console(highlight=False, soft_wrap=True, markup=False)
"""The only console of a process: bars stay below what is printed. No markup, as names and errors
may contain brackets."""

stderr = _Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
"""For the progress of commands whose output may be read by another program."""

_UNKNOWN_WIDTH = 80

QUIET_SECONDS = 15.0
"""Without a terminal, shortest time between two lines."""


def shows_bars(console: Console) -> bool:
    """Whether it is a terminal that can write over a line: TERM=dumb cannot, as Emacs' shell."""
    return console.is_terminal and not console.is_dumb_terminal


class Display:
    """The bars of a console, one per task; nothing where it is not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = _bar(console)

    @contextmanager
    def shown(self) -> Iterator[Display]:
        """Show the bars while the block runs."""
        with self.bars:
            yield self

    def add(self, title: str, total: float | None) -> progress.TaskID:
        """Add a bar below the others."""
        return self.bars.add_task(title, total=total, note="")

    def update(
        self, task: progress.TaskID, done: float, note: str, total: float | None = None
    ) -> None:
        """Set what a bar shows."""
        self.bars.update(task, completed=done, note=note, total=total)

    def remove(self, task: progress.TaskID) -> None:
        """Remove a bar."""
        self.bars.remove_task(task)


@contextmanager
def counting(console: Console, title: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) to call as work proceeds; shows nothing until it is called.

    Without a terminal, stderr gets a line only for work that takes long.
    """
    with _bar(console) as bar:
        task = None
        last = time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal task, last
            if task is None:
                task = bar.add_task(title, total=total, note="")
                if not shows_bars(console) and not console.stderr:
                    console.print(f"{title}: {total}")
            bar.update(task, completed=done, total=total)
            if not shows_bars(console) and time.monotonic() - last > QUIET_SECONDS:
                last = time.monotonic()
                console.print(f"{title}: {done} of {total}")

        yield update


def format_time(seconds: float) -> str:
    """`40 s`, `3 min 20 s`, `3 h 20 min`, `2 d 3 h`."""
    whole = round(seconds)
    for size, unit, smaller, rest in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            less = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {less} {rest}" if less else "")
    return f"{whole} s"


class _Title(progress.TextColumn):
    """Text on one line, in a column that may become narrower than the text is."""

    def render(self, task: progress.Task) -> Text:
        """As rich's."""
        text = super().render(task)
        text.no_wrap = True
        return text


def _bar(console: Console) -> progress.Progress:
    return progress.Progress(
        _Title(
            "{task.description}",
            markup=False,
            table_column=Column(min_width=12, max_width=24, overflow="ellipsis"),
        ),
        progress.BarColumn(bar_width=12, table_column=Column(min_width=4)),
        progress.MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=5)),
        progress.TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        progress.TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
        console=console,
        transient=True,
        # where a terminal is narrow, the note (`ratio`) gives way, then name and bar, which may
        # wrap for rich; the count and the estimate stay. Without `expand` each would lose the same
        expand=True,
        disable=not shows_bars(console),
    )
