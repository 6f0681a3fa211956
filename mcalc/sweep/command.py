"""The sweep command: looks at recorded sweeps, and keeps their stores true and small."""

from __future__ import annotations

from mcalc.config import Line
from mcalc.sweep import actions

_FUNCTIONS = {"list": "list_sweeps", "check": "check_sweeps", "space": "show_space"}
"""Of actions whose function has another name, as theirs is Python's or a module's."""


def run(line: Line) -> int:
    """Run one action; returns the exit status.

    What the action needs is imported with it: MLflow for some, which takes seconds.
    """
    status: int = getattr(actions, _FUNCTIONS.get(line.action, line.action))(line.config(), line)
    return status
