"""Work beside training: in its order, with its errors, and never half done."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mcalc.trials.background import Background

_DEADLINE = 60.0


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background("test")
    yield made
    made.close()


def test_work_is_done_in_its_order_and_all_of_it_when_settled(background: Background) -> None:
    done: list[int] = []
    for number in range(50):
        background.do(lambda number=number: done.append(number))  # type: ignore[misc]
    background.settle()
    assert done == list(range(50))
    # and more afterwards
    background.do(lambda: done.append(50))
    background.settle()
    assert done[-1] == 50


def test_whoever_hands_work_in_goes_on(background: Background) -> None:
    go_on = threading.Event()
    done: list[bool] = []
    background.do(lambda: done.append(go_on.wait(_DEADLINE)))
    # reached while the work waits
    go_on.set()
    background.settle()
    assert done == [True]


def test_an_error_is_raised_and_nothing_after_it_is_done(background: Background) -> None:
    done: list[str] = []

    def fails() -> None:
        done.append("fails")
        raise OSError("no space")

    background.do(lambda: done.append("before"))
    background.do(fails)
    with pytest.raises(OSError, match="no space"):
        background.settle()
    with pytest.raises(OSError, match="no space"):
        background.do(lambda: done.append("after"))
    assert done == ["before", "fails"]


def test_what_was_handed_in_before_an_error_came_is_not_done_after_it(
    background: Background,
) -> None:
    """A result behind an evaluation that could not be written would belie the record."""
    go_on = threading.Event()
    done: list[str] = []

    def fails() -> None:
        go_on.wait(_DEADLINE)
        raise OSError("no space")

    background.do(fails)
    background.do(lambda: done.append("after"))
    go_on.set()
    with pytest.raises(OSError, match="no space"):
        background.settle()
    assert done == []


def test_closing_ends_the_work_under_way_and_drops_the_rest() -> None:
    background = Background("test")
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait(_DEADLINE)
        done.append("under way")

    background.do(work)
    background.do(lambda: done.append("not begun"))
    assert begun.wait(_DEADLINE)
    threading.Timer(0.05, go_on.set).start()
    background.close()
    assert done == ["under way"]
