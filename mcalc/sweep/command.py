"""The sweep command: looks at recorded sweeps, and keeps their stores true and small."""

from __future__ import annotations

from mcalc.config import Line
from mcalc.sweep import actions
from mcalc.sweep.store import check_exists

_FUNCTIONS = {"list": "list_sweeps", "check": "check_sweeps", "space": "show_space"}
"""Of actions whose function has another name, as theirs is Python's or a module's."""

_WITHOUT_SWEEPS = ("check", "space", "send")
"""Actions that may be asked for where there is no store of sweeps: single trials have none."""


def run(line: Line) -> int:
    """Run one action; returns the exit status.

    What the action needs is imported with it: MLflow for some, which takes seconds. Raises
    UserError where there is nothing to act on, and as the action does.
    """
    if line.action not in _WITHOUT_SWEEPS:
        check_exists(line.config())
    status: int = getattr(actions, _FUNCTIONS.get(line.action, line.action))(line.config(), line)
    return status
