"""OpenCV's threads, which wait at full load, take no core from PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import pytest
from tiny_training import PowerCut, PowerCutError, train

from mcalc.config.trial import PlannedTrial
from mcalc.results import CurvePoint
from mcalc.training.listener import Listener


class Threads(Listener):
    """Notes how many OpenCV would take, in iterations and evaluations."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def iterated(self, iteration: int) -> None:
        self.seen.add(cv2.getNumThreads())

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        self.seen.add(cv2.getNumThreads())


@pytest.fixture
def several() -> Iterator[int]:
    """OpenCV's threads before training."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    yield 3
    cv2.setNumThreads(before)


def test_opencv_has_one_thread_in_training_and_its_own_again_after_it(several: int) -> None:
    threads = Threads()
    alone, _ = train([2], listener=threads)
    assert threads.seen == {1}
    assert cv2.getNumThreads() == several
    # numbers are those of a process in which it had one all along
    cv2.setNumThreads(1)
    again, _ = train([2])
    assert [result.curve for result in again] == [result.curve for result in alone]


def test_a_run_that_fails_leaves_opencv_its_threads(several: int) -> None:
    with pytest.raises(PowerCutError):
        train([None], listener=PowerCut(3))
    assert cv2.getNumThreads() == several
