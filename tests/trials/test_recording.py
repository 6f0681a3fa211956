"""Trials of one training run in the record: written beside it, each network once, and rightly."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sweep_processes import SMALL
from torch import Tensor

from mcalc.config import Config, PlannedTrial, plan_trial
from mcalc.config.compose import compose_config
from mcalc.data import IndexedData, index_data, prepare_data
from mcalc.data.loading import CropData
from mcalc.errors import PreemptedError
from mcalc.models import Classifier, build_classifier
from mcalc.preemption import handled, leave
from mcalc.results import CurvePoint, Outcome
from mcalc.tracking import Tracker
from mcalc.tracking.reader import read_trials
from mcalc.training import Listener, resolved
from mcalc.trials import finish, run_trials
from mcalc.trials.places import open_tracker

_DEADLINE = 300.0
_PATIENCE = (1, 2, 3, None)
RISING = ("backbone.name=squeezenet",)
"""The loss of this one rises soon, so that patience ends some trials before others."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def config_of(folder: Path, cache: Path, *more: str) -> Config:
    # a rate at which the loss rises soon; in the arithmetic of the look at the networks
    given = (
        "trainer.lr=0.05", "trainer.val_every=1", "trainer.precision=fp32", "trainer.threads=1",
        "trainer.channels_last=false", "tracking.keep_models=all", f"data.cache={cache}",
        f"tracking.dir={folder / 'mlruns'}",
    )  # fmt: skip
    return resolved(compose_config([*SMALL, *given, *more]))


def trials_of(config: Config, data: IndexedData) -> list[PlannedTrial]:
    return [
        plan_trial(
            f"patience {patience}",
            replace(config, stopping=replace(config.stopping, patience=patience)),
            data.fingerprint,
        )
        for patience in _PATIENCE
    ]


def run(
    folder: Path, cache: Path, *listeners: Listener, settings: Sequence[str] = ()
) -> tuple[Config, IndexedData, Tracker, list[Outcome]]:
    config = config_of(folder, cache, *settings)
    data = index_data(config.data)
    tracker = open_tracker(config)
    outcomes = finish(run_trials(trials_of(config, data), data, tracker, listeners))
    return config, data, tracker, outcomes


def files_of(folder: Path, outcome: Outcome) -> Path:
    assert outcome.run_id is not None
    return folder / "mlruns" / "artifacts" / outcome.run_id / "artifacts"


def probabilities(config: Config, data: IndexedData, weights: Mapping[str, Tensor]) -> np.ndarray:
    # of a frozen network only the head is kept, and the rest as it was built
    built = build_classifier(config.backbone, config.seed)
    whole = built.model.state_dict()
    assert set(weights) <= set(whole)
    if config.backbone.freeze == "all":
        assert len(weights) == 2
    else:
        assert set(weights) == set(whole)
    built.model.load_state_dict({**whole, **weights})
    module = Classifier(built, config.backbone, config.head, config.trainer).eval()
    ready = prepare_data(data, config, built.contract.size)
    crops = CropData(
        ready.prepared.images, ready.samples, ready.split, config.augment, config.trainer, 0
    )
    images = crops.reported.unaugmented(range(len(crops.reported)))
    with torch.no_grad():
        found: np.ndarray = torch.softmax(module(images).double(), 1)[:, 1].numpy()
    return found


@pytest.mark.whole
def test_each_trial_has_its_own_network_and_equal_ones_are_one_file(
    tmp_path: Path, cache: Path
) -> None:
    config, data, tracker, outcomes = run(tmp_path, cache, settings=RISING)
    assert [outcome.state for outcome in outcomes] == ["finished"] * len(_PATIENCE)
    files: dict[int, set[int]] = {}
    for outcome in outcomes:
        file = files_of(tmp_path, outcome) / "network.pth"
        files.setdefault(int(outcome.metrics["iterations"]), set()).add(file.stat().st_ino)
        recorded = tracker.predictions_of(str(outcome.run_id))
        assert recorded is not None
        np.testing.assert_allclose(
            recorded.probabilities,
            probabilities(config, data, torch.load(file, weights_only=True)),
            atol=1e-6,
        )
        assert not tracker.inspect(str(outcome.run_id), outcome.manifest).problems
    # some of them ended before others, or this shows nothing
    assert len(files) > 1
    assert len(files) < len(_PATIENCE)
    assert all(len(each) == 1 for each in files.values())
    assert len(set.union(*files.values())) == len(files)
    # nothing of a file that was written lies beside it
    assert not list((tmp_path / "mlruns").rglob(".network*"))


class _Holds(Listener):
    """Keeps the first record back until training has gone on."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.went_on = threading.Event()
        self.waited: list[bool] = []

    def recording(self, trial: PlannedTrial) -> None:
        if not self.held.is_set():
            self.held.set()
            self.waited.append(self.went_on.wait(_DEADLINE))

    def iterated(self, iteration: int) -> None:
        if self.held.is_set():
            self.went_on.set()


@pytest.mark.whole
def test_training_goes_on_while_a_trial_is_recorded(tmp_path: Path, cache: Path) -> None:
    holds = _Holds()
    *_, outcomes = run(tmp_path, cache, holds)
    assert holds.waited == [True]
    assert [outcome.state for outcome in outcomes] == ["finished"] * len(_PATIENCE)


class _Stops(Listener):
    """Asks for an end once a trial has ended; its record is slow."""

    def __init__(self) -> None:
        self.ended = False
        self.order: list[str] = []

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        self.ended = len(running) < len(_PATIENCE)

    def stops(self) -> PreemptedError | None:
        return PreemptedError(15) if self.ended else None

    def recording(self, trial: PlannedTrial) -> None:
        threading.Event().wait(0.5)

    def recorded(self, outcome: Outcome) -> None:
        self.order.append(outcome.name)

    def saving(self, iteration: int) -> None:
        self.order.append("checkpoint")


@pytest.mark.whole
def test_a_trial_that_ended_is_recorded_before_a_checkpoint_is_written(
    tmp_path: Path, cache: Path
) -> None:
    stops = _Stops()
    with pytest.raises(PreemptedError):
        run(tmp_path, cache, stops)
    assert stops.order[-1] == "checkpoint"
    assert "patience 1" in stops.order


class _Signals(Listener):
    """Keeps the first record back until training has ended, and sends a signal then."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.trained = threading.Event()
        self.sent = False

    def stopped(self) -> None:
        self.trained.set()

    def recording(self, trial: PlannedTrial) -> None:
        if self.sent:
            return
        assert self.trained.wait(_DEADLINE)
        time.sleep(0.3)  # the main thread waits for the record by then
        os.kill(os.getpid(), self.number)
        self.sent = True
        time.sleep(0.3)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_a_signal_while_the_end_is_recorded_stops_when_that_is_complete(
    number: int, raised: type[BaseException], tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(raised), handled(leave):
        run(tmp_path, cache, _Signals(number))
    found = read_trials(config_of(tmp_path, cache).tracking)
    assert [each.state for each in found] == ["finished"] * len(_PATIENCE)


class _Sees(Listener):
    """Makes sure that there was a checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stopped(self) -> None:
        assert list((self.folder / "mlruns" / "checkpoints").glob("*.pth"))


def test_a_run_that_is_recorded_leaves_no_checkpoint(tmp_path: Path, cache: Path) -> None:
    run(tmp_path, cache, _Sees(tmp_path), settings=["tracking.checkpoint_minutes=1e-9"])
    assert not list((tmp_path / "mlruns" / "checkpoints").iterdir())


class _Refuses(Listener):
    """Lets no second trial be recorded."""

    def __init__(self) -> None:
        self.recorded_names: list[str] = []

    def recording(self, trial: PlannedTrial) -> None:
        if self.recorded_names:
            raise OSError("the record is gone")

    def recorded(self, outcome: Outcome) -> None:
        self.recorded_names.append(f"{outcome.name}: {outcome.state}")


@pytest.mark.whole
def test_an_error_of_the_record_fails_the_trials_without_a_result(
    tmp_path: Path, cache: Path
) -> None:
    refuses = _Refuses()
    *_, outcomes = run(tmp_path, cache, refuses)
    states = {outcome.name: outcome.state for outcome in outcomes}
    assert sorted(states.values()) == ["failed"] * (len(_PATIENCE) - 1) + ["finished"]
    assert all("the record is gone" in o.error for o in outcomes if o.state == "failed")
    assert refuses.recorded_names[0] == "patience 1: finished"


class _Occupies(Listener):
    """Leaves no room for the network of a trial: a folder has its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def opened(self, trial: PlannedTrial, run_id: str) -> None:
        folder = self.folder / "mlruns" / "artifacts" / run_id / "artifacts" / "network.pth"
        (folder / "something").mkdir(parents=True)


@pytest.mark.whole
def test_a_network_that_cannot_be_written_fails_its_trial(tmp_path: Path, cache: Path) -> None:
    *_, outcomes = run(tmp_path, cache, _Occupies(tmp_path))
    assert [outcome.state for outcome in outcomes] == ["failed"] * len(_PATIENCE)
    assert all("network.pth" in outcome.error for outcome in outcomes)


class _BreaksAfterwards(Listener):
    """Fails once all is recorded."""

    def __init__(self) -> None:
        self.left = len(_PATIENCE)

    def recorded(self, outcome: Outcome) -> None:
        self.left -= 1
        if not self.left:
            raise OSError("the store is gone")


@pytest.mark.whole
def test_an_error_after_the_last_result_is_said(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    *_, outcomes = run(tmp_path, cache, _BreaksAfterwards())
    assert [outcome.state for outcome in outcomes] == ["finished"] * len(_PATIENCE)
    assert "was recorded: OSError: the store is gone" in caplog.text


@pytest.mark.whole
def test_a_trial_of_a_frozen_network_is_complete_in_the_record(tmp_path: Path, cache: Path) -> None:
    settings = ["backbone.freeze=all", "trainer.max_iterations=30"]
    config, data, tracker, outcomes = run(tmp_path, cache, settings=settings)
    assert [outcome.state for outcome in outcomes] == ["finished"] * len(_PATIENCE)
    for outcome in outcomes:
        run_id, folder = str(outcome.run_id), files_of(tmp_path, outcome)
        names = {file.name for file in folder.iterdir()}
        assert {"predictions.csv", "curve.csv", "config.yaml", "network.pth", "crops"} <= names
        assert not list(folder.glob("*.png"))
        assert len(tracker.curve_of(run_id)) >= 2
        assert not tracker.inspect(run_id, outcome.manifest).problems
        recorded = tracker.predictions_of(run_id)
        assert recorded is not None
        head = torch.load(folder / "network.pth", weights_only=True)
        np.testing.assert_allclose(
            recorded.probabilities, probabilities(config, data, head), atol=1e-6
        )
