"""Where messages go: to the console as they are, and in a worker to its log with time and level.

Modules write to `logging.getLogger(__name__)`. This is the only place that sets logging up.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from mcalc.console import console
from mcalc.secret_text import hidden

_STYLES = {logging.WARNING: "yellow", logging.ERROR: "red"}
_LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
_OURS = logging.getLogger("mcalc")


class _ConsoleHandler(logging.Handler):
    """Prints messages on the console, below its bars: warnings in yellow, errors in red."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(hidden(self.format(record)), style=_STYLES.get(record.levelno))


class _FileFormatter(logging.Formatter):
    """A line without what addresses keep secret: a log is read, and kept, by others."""

    def format(self, record: logging.LogRecord) -> str:
        return hidden(super().format(record))


class _LineLogger(io.TextIOBase):
    """A text stream whose lines become messages of the log."""

    def __init__(self) -> None:
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            _OURS.info(line)
        return len(text)

    def close(self) -> None:
        """Log what was printed without an end of line."""
        if self._rest:
            self.write("\n")
        super().close()


def log_to_console() -> None:
    """Print mcalc's messages on the console. May be called again."""
    if not _OURS.handlers:
        _OURS.addHandler(_ConsoleHandler())
        _OURS.setLevel(logging.INFO)
        _OURS.propagate = False


@contextmanager
def worker_log(path: Path) -> Iterator[None]:
    """In the block, append messages and all that is printed to a file, with time and level.

    The terminal shows the sweep and not its workers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    log_to_console()
    handlers = list(_OURS.handlers)
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(_FileFormatter(_LOG_FORMAT))
    _OURS.handlers = [file]
    try:
        with _LineLogger() as lines, redirect_stdout(lines):
            yield
    finally:
        _OURS.handlers = handlers
        file.close()
