"""Errors that speak to the user: what was wrong, where, what was expected, what to do."""

from __future__ import annotations

import difflib
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mcalc.line_breaks import for_stream
from mcalc.secret_text import hidden
from mcalc.secret_text import without_password as without_password

PREEMPTED = 75
"""Exit status of a command that a scheduler's signal stopped: EX_TEMPFAIL of sysexits.h."""


class UserError(Exception):
    """A mistake the user can fix. Commands print it as one sentence, without a traceback.

    Its text keeps the secrets of the addresses in it, wherever it comes from and ends up.
    """

    def __init__(self, text: str = "", *more: object) -> None:
        super().__init__(hidden(str(text)), *more)

    exit_status = 2
    """Of a command that it ends."""


class CutOffError(UserError):
    """Work cannot continue here. Its records stay open, so that another worker can resume it."""


class StoppedError(CutOffError):
    """Work was asked to stop, and did on a checkpoint. Nothing failed."""


class CancelledError(StoppedError):
    """Work was asked to stop for good: its records are closed as interrupted."""


class PreemptedError(StoppedError):
    """A scheduler, or whoever sent the signal, wants the machine. The same command resumes."""

    exit_status = PREEMPTED

    def __init__(self, number: int) -> None:
        """`number`: the signal."""
        self.number = number
        super().__init__(
            f"stopped by {signal.Signals(number).name}, on a checkpoint where training was under "
            f"way; the same command resumes (exit status {PREEMPTED})"
        )


def nearest(word: str, valid: Iterable[str]) -> str:
    """The hint `; did you mean 'x'?`, or nothing when no valid word comes near.

    A dotted key is matched whole first, then by its last part, so that a right field in the wrong
    section is found too.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not close:
        leaf = word.rsplit(".", 1)[-1]
        leaves = {name.rsplit(".", 1)[-1]: name for name in names}
        close = [
            leaves[found] for found in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.7)
        ]
    return f"; did you mean '{close[0]}'?" if close else ""


def shown(value: object, longest: int = 80) -> str:
    """A value as messages quote it: on one line, cut where it is longer than that.

    What addresses in it keep secret is hidden before it is cut, as the cut may hide their form.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = hidden(repr(value))
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return "a value of many levels"
    return text if len(text) <= longest else f"{text[:longest]}..."


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Print a UserError as one `error: ...` line on stderr and leave with its exit status."""
    try:
        yield
    except UserError as error:
        kind = "" if isinstance(error, StoppedError) else "error: "
        print(for_stream(f"{kind}{error}", sys.stderr), file=sys.stderr)
        raise SystemExit(error.exit_status) from None
