"""Work that gives its caller a turn where it would only wait.

A training run that has trained waits for the thread that writes its record. Its caller may begin
the next one meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias

from mcalc.results import Outcome

Work: TypeAlias = Generator[None, None, list[Outcome]]
"""It stops where its caller may do something else, and at its end returns its outcomes."""


def next_turn(work: Work) -> list[Outcome] | None:
    """Let it work until it waits, which gives None, or ends, which gives its outcomes."""
    try:
        next(work)
    except StopIteration as end:
        outcomes: list[Outcome] = end.value
        return outcomes
    return None


def finish(work: Work) -> list[Outcome]:
    """Let it work, and wait, to its end; its outcomes."""
    while True:
        outcomes = next_turn(work)
        if outcomes is not None:
            return outcomes
