"""How many threads compute: PyTorch's as recorded or asked for, and none of OpenCV's beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import pytest
import torch
from tiny_training import (
    SETTINGS,
    PowerCut,
    PowerCutError,
    built,
    crop_data,
    images,
    train,
    trial,
)

from mcalc.config import BackboneConfig, HeadConfig
from mcalc.config.trial import PlannedTrial
from mcalc.models.classifier import Classifier
from mcalc.results import CurvePoint
from mcalc.training.device import Placement, Setup
from mcalc.training.listener import Listener
from mcalc.training.trajectory import run_trajectory


class Threads(Listener):
    """Notes how many there are in iterations and evaluations."""

    def __init__(self) -> None:
        self.of_opencv: set[int] = set()
        self.of_torch: set[int] = set()

    def _look(self) -> None:
        self.of_opencv.add(cv2.getNumThreads())
        self.of_torch.add(torch.get_num_threads())

    def iterated(self, iteration: int) -> None:
        self._look()

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        self._look()


@pytest.fixture
def several() -> Iterator[int]:
    """OpenCV's threads before training."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    yield 3
    cv2.setNumThreads(before)


@pytest.mark.parametrize("recorded", [2, 3])
def test_a_rerun_takes_the_threads_that_were_recorded(recorded: int) -> None:
    pixels, labels = images()
    settings = replace(SETTINGS, threads=None)
    module = Classifier(built(), BackboneConfig(), HeadConfig(), settings)
    threads = Threads()
    before = torch.get_num_threads()
    try:
        run_trajectory(
            module,
            crop_data(pixels, labels, settings),
            [trial(None, settings)],
            [threads],
            placement=Placement(setup=Setup("cpu", "fp32", recorded)),
        )
    finally:
        torch.set_num_threads(before)
    assert threads.of_torch == {recorded}


def test_opencv_has_one_thread_in_training_and_its_own_again_after_it(several: int) -> None:
    threads = Threads()
    alone, _ = train([2], listener=threads)
    assert threads.of_opencv == {1}
    assert cv2.getNumThreads() == several
    # numbers are those of a process in which it had one all along
    cv2.setNumThreads(1)
    again, _ = train([2])
    assert [result.curve for result in again] == [result.curve for result in alone]


def test_a_run_that_fails_leaves_opencv_its_threads(several: int) -> None:
    with pytest.raises(PowerCutError):
        train([None], listener=PowerCut(3))
    assert cv2.getNumThreads() == several
