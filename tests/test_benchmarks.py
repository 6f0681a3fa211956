"""`make bench` measures what it says; how long things take is asserted nowhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sweep_processes import SMALL

import benchmarks.__main__ as bench
from benchmarks import augment, engine, gpu, precision, start
from benchmarks.training import compare, limit, ours, peer, shares
from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.workload import Workload
from mcalc.results import Artifacts, Predictions, RecordedTrial

TINY = Workload("squeezenet", batch=2, iterations=5, val_every=2, val_images=6)


@pytest.mark.whole
@pytest.mark.parametrize("kind", [ours, limit, peer], ids=lambda each: each.__name__.split(".")[-1])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")
def test_all_three_do_the_same_work(kind: object) -> None:
    watch = Stopwatch()
    kind.run(TINY, watch)  # type: ignore[attr-defined]
    assert len(watch.marks) == 5
    # after the first, second, fourth and last; the peer's framework has none after the last
    assert len(watch.validations) == (3 if kind is peer else 4)
    assert watch.total > sum(watch.validations) > 0
    assert len(watch.result()["steps"]) == 1


def result(seconds: float, validation: float) -> dict[str, object]:
    return {"total": seconds, "others": 0.1, "validations": [validation], "steps": [seconds]}


def test_ratios_are_of_what_was_measured_in_the_same_turn() -> None:
    measured = {
        "peer": [result(8, 3), result(12, 3), result(30, 3)],
        "ours": [result(4, 1), result(4, 2), result(10, 3)],
        "limit": [result(2, 1), result(3, 1), result(5, 1)],
    }
    found = compare.summary(TINY, measured)
    assert found["seconds"]["peer"] == [10, 12, 21]
    assert found["peer / ours"] == [2.5, 3, 3]
    assert found["limit / ours"] == [0.5, 0.5, 0.625]
    assert found["validation / forward"] == [1.5, 2, 2.5]
    assert found["others"] == 0.1


@pytest.mark.whole
def test_a_case_is_measured_in_a_process_of_its_own_and_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "KINDS", ("ours", "limit"))
    with pytest.raises(RuntimeError, match="ours of nothing, batch 10 failed"):
        compare.measure("ours", Workload("nothing"))
    step = Workload("squeezenet", batch=2, iterations=5)
    found = compare.compare(step, 1, Console())
    assert [len(found[kind]) for kind in ("ours", "limit")] == [1, 1]
    assert all(seconds > 0 for kind in found.values() for seconds in kind[0]["steps"])


def test_shares_of_a_sweep_are_parts_of_its_time(tmp_path: Path) -> None:
    before = torch.Tensor.backward
    places = [f"tracking.dir={tmp_path / 'runs'}", f"data.cache={tmp_path / 'cache'}"]
    found = shares.measure(["-m", *SMALL, "head.weight_lr=1,10", *places], time.time())
    assert set(found) == {*shares.ARITHMETIC, "total"}
    assert all(found[kind] > 0 for kind in shares.ARITHMETIC)
    assert sum(found[kind] for kind in shares.ARITHMETIC) < found["total"]
    assert torch.Tensor.backward is before


def test_a_second_counts_once_though_an_optimizer_calls_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight])
    ticks = iter(range(100))
    clock = shares.Clock()
    with shares.timed_by(clock):
        monkeypatch.setattr(shares.time, "perf_counter", lambda: float(next(ticks)))
        optimizer.step(lambda: (weight * 2).sum().backward())  # at 0, 1, 2 and 3
        monkeypatch.undo()
    assert clock.spent == {"forward": 0, "backward": 1, "update": 2, "validation": 0}


def test_the_numbers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "parts", lambda: {"engine": lambda console: {"median": 3}})
    bench.main(["engine"])
    (file,) = (tmp_path / ".cache" / "bench").iterdir()
    kept = json.loads(file.read_text())
    assert kept["engine"] == {"median": 3}
    assert kept["hardware"]["threads"] >= 1
    assert str(file.relative_to(tmp_path)) in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no part 'speed': there are short, engine"):
        bench.main(["speed"])


def test_workloads_have_images_for_training_and_validation() -> None:
    pixels, labels = TINY.images()
    assert pixels.shape == (TINY.trained + 6, 224, 224)
    assert len(labels) == len(pixels)
    assert np.array_equal(pixels, TINY.images()[0])


@pytest.mark.whole
def test_the_engine_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    planned = engine.measure("plan", 100)
    assert planned["seconds"] > 0
    assert planned["MB"] > 10
    for case in ("with files", "search"):
        costs = engine.measure(case, 4, "NORMAL")
        assert {clock: len(each) for clock, each in costs.items()} == {"wall": 3, "processor": 3}
    assert set(engine.measure("read", 3)) == {"report", "check"}
    with pytest.raises(RuntimeError, match="nothing of 3 failed"):
        engine.measure("nothing", 3)


def test_the_first_middle_and_last_trials_are_compared() -> None:
    # seconds, and milliseconds
    costs = [0.001] * 100 + [0.002] * 300 + [0.003] * 100
    assert engine.edges(costs) == pytest.approx({"all": 2, "first": 1, "middle": 2, "last": 3})
    assert engine.edges([0.001, 0.002, 0.004]) == pytest.approx(
        {"all": 2, "first": 1, "middle": 2, "last": 4}
    )


@pytest.mark.parametrize("count", ["many", "2", "-5", ""])
def test_a_number_of_trials_that_is_none_is_said(count: str) -> None:
    with pytest.raises(SystemExit, match="trials= takes a whole number"):
        bench.main(["engine", f"trials={count}"])


def recorded(seed: int, precision: str, probabilities: list[float]) -> RecordedTrial:
    labels = np.array([0, 0, 1, 1])
    predictions = Predictions(("a", "b", "c", "d"), labels, np.array(probabilities))
    params = {"seed": str(seed), "trainer.precision": precision}
    return RecordedTrial("id", "x", "finished", params, {}, {}, Artifacts(predictions))


def test_precisions_are_compared_seed_by_seed() -> None:
    sure, wrong = [0.1, 0.2, 0.8, 0.9], [0.1, 0.85, 0.8, 0.9]
    trials = [recorded(seed, "bf16", wrong) for seed in (1, 0)]
    trials += [recorded(seed, "fp32", sure) for seed in (0, 1)]
    found = precision.pairs(trials)
    assert list(found) == [0, 1]
    assert [precision.scores(each)[0] for each in found[1]] == [1.0, 0.75]
    assert precision.scores(found[0][0])[1] == pytest.approx(-np.log([0.9, 0.8, 0.8, 0.9]).mean())
    with pytest.raises(ValueError, match=r"seeds \[2\] were not run in both"):
        precision.pairs([*trials, recorded(2, "fp32", sure)])
    # by hand: mean 0.02, standard deviation 0.01, t of two degrees of freedom 4.3027
    mean, low, high = precision.interval(np.array([0.01, 0.02, 0.03]))
    assert (mean, low, high) == pytest.approx((0.02, 0.02 - 0.02484, 0.02 + 0.02484), abs=1e-5)


def test_starts_are_compared_with_what_was_measured_in_the_same_turn() -> None:
    one = [{"seconds": s, "whole command": s + 1, "others": 0.1} for s in (1.0, 2.0, 4.0)]
    two = [{"seconds": s, "whole command": s, "others": 0.3} for s in (2.0, 6.0, 4.0)]
    found = start.summary({"a": one, "b": two}, {"a": "a", "b": "a"})
    assert found["b"]["seconds"] == [3, 4, 5]
    assert found["b"]["ratio"] == [1.5, 2, 2.5]
    assert (found["b"]["fastest"], found["b"]["others"]) == (2, 0.3)
    assert found["a"]["whole command"] == [2.5, 3, 4]


@pytest.mark.whole
def test_a_start_is_measured_by_its_own_process(tmp_path: Path) -> None:
    case = start.cases(tmp_path, 0)["a mistyped key"]
    found = start.measure(case, tmp_path / "mark")
    assert found["seconds"] == found["whole command"] > 0
    wrong = start.Case(case.command, case.beside)
    with pytest.raises(RuntimeError, match="ended with 2"):
        start.measure(wrong, tmp_path / "mark")
    assert {each.beside for each in start.cases(tmp_path, 0).values()} == {start.HYDRA, start.PEER}


@pytest.mark.whole
@pytest.mark.slow
def test_the_first_step_is_noted_and_the_trial_recorded(tmp_path: Path) -> None:
    arguments = (
        "backbone=squeezenet", "backbone.weights=none", "data.phantom.lesions=24",
        "trainer.batch_size=4", "trainer.max_iterations=2", f"data.cache={tmp_path / 'cache'}",
        f"tracking.dir={tmp_path / 'runs'}",
    )  # fmt: skip
    mark = tmp_path / "mark"
    command = ["-m", "benchmarks.first_step", str(mark), "ours", *arguments]
    found = start.measure(start.Case(command, start.PEER, steps=True), mark)
    assert 0 < found["seconds"] < found["whole command"]
    assert (tmp_path / "runs" / "mlflow.db").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_augmentation_is_measured_in_both_ways() -> None:
    found = augment.report(Console(), [2])
    assert {name: len(each) for name, each in found["2"].items()} == {
        "by OpenCV, image by image": augment.ROUNDS,
        "drawn on the CPU and changed on cpu": augment.ROUNDS,
        "of which drawing": augment.ROUNDS,
    }


def test_ours_lies_where_it_is_told() -> None:
    """The device can be named here too, and the steps are those of the same run."""
    for place in gpu.PLACES:
        watch = Stopwatch()
        ours.run(replace(TINY, place=place), watch)
        assert len(watch.marks) == 5


@pytest.mark.whole
def test_steps_are_measured_by_where_images_are_augmented() -> None:
    found = gpu.places(Console(), ["squeezenet"], [2])
    assert list(found) == ["squeezenet, batch 2"]
    assert all(len(each) == len(gpu.PLACES) and min(each) > 0 for each in found.values())


@pytest.mark.whole
@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_cuda_device_nothing_is_measured_on_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
@pytest.mark.whole
@pytest.mark.parametrize("at_once", gpu.AT_ONCE)
def test_the_rows_on_a_card_are_planned_up_to_the_device(at_once: int, tmp_path: Path) -> None:
    command = gpu.rows_command(at_once, tmp_path, tmp_path / "cache")
    small = [*command, "data.phantom.lesions=32", "dry_run=true"]
    small.remove("data.phantom.lesions=1546")
    done = subprocess.run(small, capture_output=True, text=True, check=False)
    # all but the card is there
    assert "trainer.accelerator=gpu, but PyTorch sees no CUDA device here" in done.stderr


def test_a_machine_without_mps_shares_no_card_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with gpu.mps(tmp_path) as environment:
        assert environment is None
    assert not list(tmp_path.iterdir())


def test_mps_runs_while_it_is_measured_and_is_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for NVIDIA's program notes how it is called, and where."""
    program = tmp_path / "bin" / "nvidia-cuda-mps-control"
    program.parent.mkdir()
    log = tmp_path / "log"
    program.write_text(
        f'#!/bin/sh\necho "$*" "$CUDA_MPS_PIPE_DIRECTORY" >> {log}\n[ "$1" = -d ] || cat >> {log}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    folder = tmp_path / "shared"
    folder.mkdir()
    with gpu.mps(folder) as environment:
        assert environment is not None
        assert environment["CUDA_MPS_PIPE_DIRECTORY"] == str(folder / "mps")
        assert log.read_text().splitlines() == [f"-d {folder / 'mps'}"]
    assert log.read_text().splitlines()[1:] == [f" {folder / 'mps'}", "quit"]
