"""The sweep command: looks at recorded sweeps, and keeps their stores true and small."""

from __future__ import annotations

from collections.abc import Callable

from mcalc.config import Config, Line
from mcalc.sweep.actions.checking import check_sweeps
from mcalc.sweep.actions.halting import cancel, pause, resume
from mcalc.sweep.actions.look import list_sweeps, show, url
from mcalc.sweep.actions.removing import remove
from mcalc.sweep.actions.sending import send
from mcalc.sweep.actions.space import space

_ACTIONS: dict[str, Callable[[Config, Line], int]] = {
    "list": list_sweeps,
    "check": check_sweeps,
    "show": show,
    "url": url,
    "send": send,
    "pause": pause,
    "resume": resume,
    "cancel": cancel,
    "space": space,
    "remove": remove,
}


def run(line: Line) -> int:
    """Run one action; returns the exit status."""
    return _ACTIONS[line.action](line.config(), line)
