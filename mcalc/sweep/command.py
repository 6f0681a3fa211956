"""The sweep command: looks at recorded sweeps, and keeps their stores true and small."""

from __future__ import annotations

from mcalc.config import Line
from mcalc.errors import UserError
from mcalc.sweep import actions
from mcalc.sweep.store import check_exists

_FUNCTIONS = {"list": "list_sweeps", "check": "check_sweeps", "space": "show_space"}
"""Of actions whose function has another name, as theirs is Python's or a module's."""

_WITHOUT_SWEEPS = ("check", "space", "send")
"""Actions that may be asked for where there is no store of sweeps: single trials have none."""
_NAMED = ("show", "pause", "cancel", "resume", "remove")
"""Actions that work on the sweeps named alone."""
_NAMELESS = {
    "url": "it prints the address of the store of all sweeps",
    "space": "it looks at the whole record",
    "send": "it sends all that is kept",
}
"""Actions that work on no sweep in particular, with what each does."""


def run(line: Line) -> int:
    """Run one action; returns the exit status.

    What the action needs is imported with it: MLflow for some, which takes seconds. Raises
    UserError where there is nothing to act on, and as the action does.
    """
    _check_names(line)
    if line.action not in _WITHOUT_SWEEPS:
        check_exists(line.config())
    status: int = getattr(actions, _FUNCTIONS.get(line.action, line.action))(line.config(), line)
    return status


def _check_names(line: Line) -> None:
    if line.action in _NAMED and not line.names:
        raise UserError(
            f"{line.action} needs the name of a sweep: `python -m mcalc.sweep list` has them"
        )
    if line.action in _NAMELESS and line.names:
        what = _NAMELESS[line.action]
        raise UserError(f"{line.action} takes no name ({line.names[0]!r}): {what}")
