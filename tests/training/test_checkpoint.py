"""A checkpoint on disk: whole or the one before, only data, and when it is written."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import bounded
import numpy as np
import pytest
import torch
from tiny_training import SETTINGS, Keeper, PowerCut, PowerCutError, train

from mcalc.config import Network, PlannedTrial, TrainerConfig
from mcalc.errors import PreemptedError, StoppedError
from mcalc.results import CurvePoint, Predictions, TrialResult
from mcalc.training import validation
from mcalc.training.checkpoint import FORMAT, Checkpoint, CheckpointFile, Snapshot, Weights
from mcalc.training.device import Setup
from mcalc.training.lightning import LightningLoop
from mcalc.training.listener import Listener
from mcalc.training.random_state import RandomState
from mcalc.training.validation import Checkpointing


def checkpoint(iteration: int = 7) -> Checkpoint:
    logits = np.array([[1.0, -0.1], [0.2, 1.3]])
    predictions = Predictions(("a", "b"), np.array([0, 1]), np.array([0.25, 0.75]), logits=logits)
    return Checkpoint(
        setup=Setup("cpu", "fp32", 3),
        iteration=iteration,
        weights={"w": torch.arange(3.0)},
        optimizer={"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        random=RandomState.now("cpu"),
        tally=torch.tensor([[1.5, 2.0]]),
        tally_seen=4,
        curve=(CurvePoint(1, 0.5, 0.7, 0.6, 0.8, 0.55, 0.65),),
        best=Snapshot(1, predictions, {"w": torch.zeros(3)}),
        seconds=12.5,
    )


def assert_same(one: Any, other: Any) -> None:
    """Equal to the last bit, with the same types, through containers and dataclasses."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    elif hasattr(one, "__dataclass_fields__"):
        for entry in fields(one):
            assert_same(getattr(one, entry.name), getattr(other, entry.name))
    else:
        assert one == other


def test_one_of_an_earlier_version_lacks_the_generators_of_numpy_and_python(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.pth")
    file.save(checkpoint())
    content = torch.load(file.path, weights_only=True)
    del content["numpy_random"], content["python_random"]
    torch.save(content, file.path)
    loaded = file.load()
    assert loaded is not None
    assert (loaded.random.numpy, loaded.random.python) == (None, None)
    loaded.random.put()
    assert torch.equal(torch.get_rng_state(), checkpoint().random.torch[0])


@pytest.mark.parametrize("with_best", [True, False])
def test_everything_comes_back_as_it_was(tmp_path: Path, with_best: bool) -> None:
    file = CheckpointFile(tmp_path / "new" / "c.pth")
    assert file.load() is None
    saved = checkpoint() if with_best else replace(checkpoint(), best=None)
    file.save(saved)
    assert_same(file.load(), saved)
    file.remove()
    file.remove()
    assert not file.path.exists()


def test_a_crash_while_it_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "c.pth")
    file.save(checkpoint(1))
    # a lambda cannot be stored: torch fails in the middle of the file
    with pytest.raises((AttributeError, pickle.PicklingError)):
        file.save(replace(checkpoint(2), optimizer={"w": torch.ones(10_000), "bad": lambda: None}))
    loaded = file.load()
    assert loaded is not None
    assert loaded.iteration == 1
    assert [each.name for each in tmp_path.iterdir()] == ["c.pth"]


def test_it_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, int]] = []
    fsync, rename = os.fsync, os.replace

    def seen_fsync(number: int) -> None:
        steps.append(("fsync", os.fstat(number).st_size))
        fsync(number)

    def seen_rename(source: str, target: str, **more: Any) -> None:
        steps.append(("rename", Path(source).stat().st_size))
        rename(source, target, **more)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_rename)
    CheckpointFile(tmp_path / "c.pth").save(checkpoint())
    whole = (tmp_path / "c.pth").stat().st_size
    assert steps == [("fsync", whole), ("rename", whole)]


def test_another_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    torch.save({"format": FORMAT + 1}, path)
    with pytest.raises(ValueError, match=rf"its format is {FORMAT + 1}, not {FORMAT}"):
        CheckpointFile(path).load()


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_file_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    torch.save({"format": FORMAT, "weights": Bomb(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        CheckpointFile(path).load()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half of a file", b"text"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        CheckpointFile(path).load()


CASES = Path(__file__).parent / "cases"


def load(path: str, most_bytes: int | None = None) -> Checkpoint | None:
    return CheckpointFile(Path(path)).load(most_bytes)


def test_damaged_and_lying_files_are_refused_at_once(tmp_path: Path) -> None:
    CheckpointFile(tmp_path / "good.pth").save(checkpoint())
    plain = torch.load(tmp_path / "good.pth", weights_only=True)
    lies: dict[str, dict[str, Any]] = {
        "a number a billion times": {"weights": {"w": torch.zeros(1).expand(10**9)}},
        "iteration": {"iteration": "7"},
        "no iteration": {"iteration": 0},
        "threads": {"setup": {"device": "cpu", "precision": "fp32", "threads": 10**9}},
        "setup": {"setup": {"device": "cpu"}},
        "curve": {"curve": [[1, 2]]},
        "curve of text": {"curve": [["a"] * 7]},
        "random": {"random": [torch.zeros(3, dtype=torch.uint8)]},
        "tally": {"tally": torch.zeros(3)},
        "predictions": {"best": plain["best"] | {"labels": torch.zeros(5)}},
        "weights": {"best": {"iteration": 1}},
        "format": {"format": 99},
    }
    for name, change in lies.items():
        torch.save(plain | change, tmp_path / f"{name}.pth")
    content = bytearray((tmp_path / "good.pth").read_bytes())
    at = content.find(torch.ones(3).numpy().tobytes())
    content[at + 2] ^= 1
    (tmp_path / "flipped.pth").write_bytes(content)
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with (tmp_path / "hole.pth").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(10**12)
    calls: dict[str, tuple[Any, ...]] = {
        name: (str(tmp_path / f"{name}.pth"),) for name in (*lies, "flipped", "cut", "hole")
    }
    calls["large"] = (str(tmp_path / "good.pth"), 1000)
    for case in CASES.glob("*.pth"):
        calls[case.name] = (str(case),)
    assert len(list(CASES.glob("*.pth"))) == 1
    said = bounded.refusals(load, calls, tmp_path, ValueError)
    assert "CRC" in said["flipped"]
    assert "its format is 99, not 1" in said["format"]
    assert "at most 1,000" in said["large"]


# --- when it is written ----------------------------------------------------------------------


class Recording(CheckpointFile):
    """Notes at which iterations it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.written: list[int] = []

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        self.written.append(checkpoint.iteration)


class Clock(Listener):
    """Time that passes by iterations."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 1000.0

    def iterated(self, iteration: int) -> None:
        self.now += self.seconds

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(("minutes", "written"), [(1, [3, 6, 9]), (2, [6]), (0, []), (60, [])])
def test_as_many_minutes_lie_between_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, written: list[int]
) -> None:
    clock = Clock(seconds=20)
    monkeypatch.setattr(validation, "time", clock)
    file = Recording(tmp_path / "c.pth")
    train(
        [None],
        replace(SETTINGS, max_iterations=11),
        checkpointing=Checkpointing(file, minutes),
        listener=clock,
    )
    assert file.written == written


class Signals(Listener):
    """Sends signals to this process after an iteration."""

    def __init__(self, iteration: int, signals: Sequence[int]) -> None:
        self.iteration = iteration
        self.signals = signals
        self.notes: list[str] = []

    def iterated(self, iteration: int) -> None:
        if iteration == self.iteration:
            for number in self.signals:
                os.kill(os.getpid(), number)

    def noted(self, text: str) -> None:
        self.notes.append(text)


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("minutes", [0, 60])
def test_a_signal_stops_after_the_iteration_on_a_checkpoint(
    tmp_path: Path, number: int, minutes: float
) -> None:
    handlers = [signal.getsignal(each) for each in STOPPING]
    (whole,), _ = train([None])
    file = Recording(tmp_path / "c.pth")
    listener = Signals(5, [number])
    kind = KeyboardInterrupt if number == signal.SIGINT else PreemptedError
    with pytest.raises(kind):
        train([None], checkpointing=Checkpointing(file, minutes), listener=listener)
    assert file.written == [5]
    assert "once more stops at once" in listener.notes[0]
    assert [signal.getsignal(each) for each in STOPPING] == handlers
    keeper = Keeper()
    (resumed,), _ = train([None], checkpointing=Checkpointing(file, minutes), listener=keeper)
    assert keeper.resumed_at == [5]
    assert resumed.curve == whole.curve


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_at_the_very_end_of_an_iteration_stops_after_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """After our last look, where Lightning looks whether a SIGTERM has come."""
    look = LightningLoop.on_train_batch_end

    def late(loop: LightningLoop, *arguments: Any) -> None:
        look(loop, *arguments)
        if loop.iterations == 5:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(LightningLoop, "on_train_batch_end", late)
    file = Recording(tmp_path / "c.pth")
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else PreemptedError):
        train([None], checkpointing=Checkpointing(file, 60))
    assert file.written == [6]


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once_without_a_checkpoint(tmp_path: Path, first: int) -> None:
    file = Recording(tmp_path / "c.pth")
    with pytest.raises(KeyboardInterrupt):
        train(
            [None],
            checkpointing=Checkpointing(file, 60),
            listener=Signals(5, [first, signal.SIGTERM]),
        )
    assert file.written == []


@pytest.mark.parametrize("second", [signal.SIGUSR1, signal.SIGTERM])
def test_the_further_signals_of_a_scheduler_do_not_prevent_the_checkpoint(
    tmp_path: Path, second: int
) -> None:
    file = Recording(tmp_path / "c.pth")
    listener = Signals(5, [signal.SIGUSR1, second])
    with pytest.raises(PreemptedError, match=r"SIGUSR1.*exit status 75"):
        train([None], checkpointing=Checkpointing(file, 60), listener=listener)
    assert file.written == [5]


class Stops(Listener):
    """Wants training to stop from its second evaluation on."""

    def __init__(self) -> None:
        self.evaluations = 0

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        self.evaluations += 1

    def stops(self) -> StoppedError | None:
        return StoppedError("enough") if self.evaluations == 2 else None


def test_a_listener_stops_training_on_a_checkpoint(tmp_path: Path) -> None:
    (whole,), _ = train([None])
    file = Recording(tmp_path / "c.pth")
    with pytest.raises(StoppedError, match="enough"):
        train([None], checkpointing=Checkpointing(file, 0), listener=Stops())
    assert file.written == [whole.curve[1].iteration]
    (resumed,), _ = train([None], checkpointing=Checkpointing(file, 0))
    assert resumed.curve == whole.curve


class SignalAtTheEnd(Keeper):
    """Sends a signal when the result is there."""

    def finished(self, result: TrialResult, weights: Weights) -> None:
        super().finished(result, weights)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_after_the_last_iteration_keeps_the_result_and_stops(tmp_path: Path) -> None:
    file, keeper = Recording(tmp_path / "c.pth"), SignalAtTheEnd()
    with pytest.raises(PreemptedError):
        train([None], checkpointing=Checkpointing(file, 60), listener=keeper)
    assert keeper.weights.keys() == {"None"}
    assert file.written == [], "nothing is left to resume"


def test_a_signal_without_checkpoints_stops_too() -> None:
    with pytest.raises(PreemptedError):
        train([None], listener=Signals(5, [signal.SIGTERM]))


# --- which checkpoint is resumed ------------------------------------------------------------


def cut(path: Path, settings: TrainerConfig, at: int = 6) -> CheckpointFile:
    file = CheckpointFile(path)
    with pytest.raises(PowerCutError):
        train([None], settings, checkpointing=Checkpointing(file, 1e-9), listener=PowerCut(at))
    return file


@pytest.mark.parametrize("lie", ["weights", "momentum", "rate", "iteration"])
def test_a_checkpoint_of_another_run_is_not_used(tmp_path: Path, lie: str) -> None:
    settings = replace(SETTINGS, max_iterations=9)
    (whole,), _ = train([None], settings)
    file = cut(tmp_path / "c.pth", settings)
    there = file.load()
    assert there is not None
    optimizer = {"state": dict(there.optimizer["state"]), "param_groups": [
        dict(group) for group in there.optimizer["param_groups"]
    ]}  # fmt: skip
    if lie == "momentum":
        optimizer["state"][0] = {"momentum_buffer": torch.zeros(7)}
    elif lie == "rate":
        optimizer["param_groups"][0]["lr"] = 5.0
    weights = dict(there.weights)
    if lie == "weights":
        weights["fc.weight"] = torch.zeros(3, 3)
    iteration = 900 if lie == "iteration" else there.iteration
    file.save(replace(there, optimizer=optimizer, weights=weights, iteration=iteration))
    keeper = Keeper()
    (result,), _ = train([None], settings, checkpointing=Checkpointing(file, 0), listener=keeper)
    assert keeper.resumed_at == []
    assert "not of this network and these settings" in keeper.notes[0]
    assert result.curve == whole.curve


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"device": "cuda"}, "computed on cuda in fp32; on cpu in fp32"),
        ({"precision": "bf16"}, "computed on cpu in bf16; on cpu in fp32"),
        ({"threads": 2}, "computed with 2 threads, and trainer.threads=1"),
    ],
)
def test_other_conditions_would_give_other_numbers(
    tmp_path: Path, change: dict[str, Any], note: str
) -> None:
    settings = replace(SETTINGS, max_iterations=9)
    (whole,), _ = train([None], settings)
    file = cut(tmp_path / "c.pth", settings)
    there = file.load()
    assert there is not None
    file.save(replace(there, setup=replace(there.setup, **change)))
    keeper = Keeper()
    (result,), _ = train([None], settings, checkpointing=Checkpointing(file, 0), listener=keeper)
    assert keeper.resumed_at == []
    assert note in keeper.notes[0]
    assert result.curve == whole.curve


class Threads(Listener):
    """Notes how many threads compute."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def iterated(self, iteration: int) -> None:
        self.seen.add(torch.get_num_threads())


def test_threads_are_those_of_the_setting_or_of_the_checkpoint(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        settings = replace(SETTINGS, max_iterations=9, threads=2)
        listener = Threads()
        train([None], settings, listener=listener)
        assert listener.seen == {2}
        # null leaves it open: a resumed run keeps those it began with
        file = cut(tmp_path / "c.pth", replace(settings, threads=3))
        listener = Threads()
        free = replace(settings, threads=None)
        train([None], free, checkpointing=Checkpointing(file, 0), listener=listener)
        assert listener.seen == {3}
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("network", list(Network))
def test_patience_counts_on_over_a_cut(tmp_path: Path, network: Network) -> None:
    patience: list[int | None] = [2, 4, None]
    whole, _ = train(patience, network=network)
    first = min(whole, key=lambda result: result.iterations)
    assert first.name == "2"
    assert first.stop_reason == "patience"
    # the last evaluation before the cut was one without progress
    *_, before, _ = first.curve
    assert before.val_loss >= min(point.val_loss for point in first.curve)
    file = CheckpointFile(tmp_path / "c.pth")
    checkpointing = Checkpointing(file, 1e-9)
    with pytest.raises(PowerCutError):
        train(
            patience,
            network=network,
            checkpointing=checkpointing,
            listener=PowerCut(first.iterations),
        )
    keeper = Keeper()
    resumed, _ = train(patience, network=network, checkpointing=checkpointing, listener=keeper)
    assert keeper.resumed_at == [first.iterations - 1]
    assert [(r.name, r.iterations, r.stop_reason, r.reported_iteration) for r in resumed] == [
        (r.name, r.iterations, r.stop_reason, r.reported_iteration) for r in whole
    ]
    assert [r.curve for r in resumed] == [r.curve for r in whole]
