"""Work that gives its caller a turn where it would only wait.

A training run that has trained waits for the thread that writes its record. Its caller may begin
the next one meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import TypeAlias

from mcalc.results import Outcome


class Waits(Enum):
    """Why work gives its caller a turn, and what it does when it goes on."""

    for_record = "it has trained; it waits until its record is complete"
    to_try_again = "it has failed; it trains once more"


Work: TypeAlias = Generator[Waits, None, list[Outcome]]
"""It stops where its caller may do something else, and at its end returns its outcomes."""


def next_turn(work: Work) -> Waits | list[Outcome]:
    """Let it work until it waits, or until its end, which gives its outcomes."""
    try:
        return next(work)
    except StopIteration as end:
        outcomes: list[Outcome] = end.value
        return outcomes


def finish(work: Work) -> list[Outcome]:
    """Let it work, and wait, to its end; its outcomes."""
    while isinstance(state := next_turn(work), Waits):
        pass
    return state
