"""Errors that speak to the user: what was wrong, where, what was expected, what to do."""

from __future__ import annotations

import difflib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

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


_NEAR = 0.6
"""How alike each part of two names must be, 0 to 1."""
_NEAR_LAST, _NEAR_ELSEWHERE = 0.75, 0.85
"""The same of last parts alone: of a word without a section, and of names in other sections."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """The hint `; did you mean 'x'?`, or nothing when no valid word comes near.

    Dotted keys are compared part by part: `trainer.compile` and `trainer.lr` share most of their
    letters and have nothing to do with each other. A right field in the wrong section is found too.
    """
    found = max(((_likeness(word, name), name) for name in sorted(valid)), default=None)
    return f"; did you mean '{found[1]}'?" if found and found[0] > 0 else ""


def _likeness(word: str, name: str) -> float:
    """From 0, not alike, to 1, the same."""
    mine, other = word.split("."), name.split(".")
    *sections, last = map(_part_likeness, mine[-len(other) :], other[-len(mine) :])
    near = _NEAR_ELSEWHERE if len(mine) > 1 else _NEAR_LAST
    if len(mine) == len(other):
        alike = min([last, *sections]) >= _NEAR or last >= near
        return (last + sum(sections)) / len(mine) if alike else 0.0
    # a little less, so that of equals the one of the same form is taken
    return last - 0.05 if last >= near else 0.0


def _part_likeness(part: str, other: str) -> float:
    if part != other and sorted(part) == sorted(other):
        return 0.9  # letters that have changed places, as in short words
    return difflib.SequenceMatcher(None, other, part).ratio()


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


def without_right(error: PermissionError) -> UserError | None:
    """The error that this user may not read or write a file or folder; None where it names none.

    `Path.exists` and its like raise it where a folder on the way may not be entered.
    """
    if not isinstance(error.filename, str | bytes):
        return None
    path = Path(os.fsdecode(error.filename))
    closed = next((each for each in _outermost_first(path) if not _may(each, os.X_OK)), None)
    if closed is not None:
        what = f"{path} cannot be reached: you have no right to enter the folder {closed}"
    elif not os.path.lexists(path):
        what = f"{path} cannot be made: you have no right to write to the folder {path.parent}"
    else:
        missing = "write" if _may(path, os.R_OK) else "read"
        what = f"{path} cannot be used: you have no right to {missing} it"
    return UserError(
        f"{what} ({error.strerror}); ask its owner for the right, or name another place"
    )


def _outermost_first(path: Path) -> Iterator[Path]:
    """The folders on the way to a path that are there."""
    return (each for each in reversed(path.absolute().parents) if os.path.lexists(each))


def _may(path: Path, right: int) -> bool:
    # by the rights that opening a file goes by
    return os.access(path, right, effective_ids=os.access in os.supports_effective_ids)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Print a UserError as one `error: ...` line on stderr and leave with its exit status.

    So too a PermissionError of a file or folder that no sentence was made of where it came up.
    """
    try:
        yield
    except UserError as error:
        _leave(error)
    except PermissionError as error:
        found = without_right(error)
        if found is None:  # of a process, say: not of a path that a user can mend
            raise
        _leave(found)


def _leave(error: UserError) -> NoReturn:
    kind = "" if isinstance(error, StoppedError) else "error: "
    print(for_stream(f"{kind}{error}", sys.stderr), file=sys.stderr)
    raise SystemExit(error.exit_status) from None
