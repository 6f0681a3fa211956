"""A run that a server did not take whole counts again: what is kept on this machine says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mcalc.tracking.counting import call_run, count_again

HERE, THERE = "id on this machine", "id on the server"


class _Tracker:
    """As after a server went away while the run was open there: it is kept under another id."""

    def __init__(self) -> None:
        self.tagged: list[str] = []
        kept = SimpleNamespace(info=SimpleNamespace(run_id=HERE))
        self.unsent = SimpleNamespace(
            runs=lambda: [kept], tag=lambda run_id, *_: self.tagged.append(run_id)
        )

    def run(self, run_id: str) -> Any:
        assert run_id in (HERE, THERE)
        return SimpleNamespace(run_id=HERE, name="a", tags={})

    @property
    def client(self) -> Any:
        raise AssertionError("the server has no run of that id")


@pytest.mark.parametrize("known", [HERE, THERE])
def test_a_kept_run_counts_again_by_either_id(known: str) -> None:
    tracker: Any = _Tracker()
    count_again(tracker, known)
    assert tracker.tagged == [HERE]
    call_run(tracker, known, "another")
    assert tracker.tagged == [HERE], "it is renamed when the server has it"
