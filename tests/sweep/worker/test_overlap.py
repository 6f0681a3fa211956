"""A training run begins while the one before is recorded: in which order, and what errors do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from parameters import most_are_whole
from stores import begin_with_tables
from sweep_processes import SMALL

from mcalc.command_line import run_command
from mcalc.config.compose import compose_config
from mcalc.errors import CutOffError, UserError
from mcalc.results import CurvePoint, Outcome
from mcalc.sweep.start import run_sweep
from mcalc.sweep.worker.overlap import Overlap, overlapping
from mcalc.trials import Waits, Work, recorder, run, runner

POINT = CurvePoint(1, 0, 0.5, 0.5, 0.5, 0.5, 0.5)


class Runs:
    """Training runs that note what they do."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        self.seen += [f"{each.name} {each.state}" for each in outcomes]

    def train(
        self,
        name: str,
        overlap: Overlap,
        *,
        evaluates: Sequence[int] = (1, 2),
        error: Exception | None = None,
        recording: Exception | None = None,
        retries: int = 0,
        broken: int = 0,
    ) -> Work:
        """Three iterations, then its record. `error` in the second, or `recording` at the end.

        All attempts but the last fail when they are recorded; the first `broken` do not train.
        """
        for attempt in range(retries + 1):
            if attempt:
                yield Waits.to_try_again
            self.seen.append(f"{name} begins")
            if attempt < broken:
                continue
            try:
                for iteration in (1, 2, 3):
                    if iteration == 2 and error:
                        raise error
                    overlap.iterated(iteration)
                    if iteration in evaluates:
                        overlap.evaluated(POINT, ())
            except CutOffError:
                self.seen.append(f"{name} is left open")
                raise
            self.seen.append(f"{name} trained")
            yield Waits.for_record
            if recording:
                raise recording
            self.seen.append(f"{name} recorded")
        return [Outcome(name, name, "finished", None, {})]

    def all(self, *works: Callable[[Overlap], Work]) -> list[str]:
        with overlapping(self.ended) as overlap:
            for work in works:
                overlap.run(work(overlap))
                self.seen.append("next")
        return self.seen


def test_a_run_is_recorded_by_the_first_evaluation_of_the_next() -> None:
    runs = Runs()
    assert runs.all(lambda o: runs.train("a", o), lambda o: runs.train("b", o)) == [
        "a begins", "a trained", "next",
        "b begins", "a recorded", "a finished", "b trained", "next",
        "b recorded", "b finished",
    ]  # fmt: skip


def test_one_that_is_resumed_waits_for_no_evaluation() -> None:
    runs = Runs()
    seen = runs.all(lambda o: runs.train("a", o), lambda o: runs.train("b", o, evaluates=()))
    assert seen.index("a finished") < seen.index("b trained")


def test_one_that_trains_nothing_completes_the_one_before() -> None:
    runs = Runs()

    def left() -> Work:
        yield from ()
        return [Outcome("b", "b", "left", None, {})]

    seen = runs.all(lambda o: runs.train("a", o), lambda _: left())
    assert seen[3:] == ["a recorded", "a finished", "b left", "next"]


def test_an_error_of_the_record_cuts_off_the_run_under_way_and_is_raised() -> None:
    runs, error = Runs(), UserError("no space is left")
    with pytest.raises(UserError, match="no space is left") as raised:
        runs.all(lambda o: runs.train("a", o, recording=error), lambda o: runs.train("b", o))
    assert raised.value is error
    assert runs.seen[3:] == ["b begins", "b is left open"]


def test_an_error_of_the_last_record_is_raised() -> None:
    runs = Runs()
    with pytest.raises(UserError, match="no space is left"):
        runs.all(lambda o: runs.train("a", o, recording=UserError("no space is left")))


@pytest.mark.parametrize(
    ("recording", "said"),
    [(None, ""), (UserError("the store is away"), "the store is away"), (UserError("signal"), "")],
)
def test_what_has_trained_is_recorded_though_the_next_is_cut_off(
    recording: UserError | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs()
    with pytest.raises(CutOffError, match="signal"):
        runs.all(
            lambda o: runs.train("a", o, recording=recording),
            lambda o: runs.train("b", o, evaluates=(), error=CutOffError("signal")),
        )
    assert caplog.text.strip().endswith(said)
    assert bool(caplog.text) == bool(said)
    if not recording:
        assert runs.seen[-2:] == ["a recorded", "a finished"]


def test_what_failed_is_tried_again_when_the_next_has_trained() -> None:
    runs = Runs()
    seen = runs.all(lambda o: runs.train("a", o, retries=1), lambda o: runs.train("b", o))
    assert seen[3:] == [
        "b begins", "a recorded", "b trained",
        # b is complete by the first evaluation of the second attempt
        "a begins", "b recorded", "b finished", "a trained", "next",
        "a recorded", "a finished",
    ]  # fmt: skip


def test_the_last_one_is_tried_again_too() -> None:
    runs = Runs()
    seen = runs.all(lambda o: runs.train("a", o, retries=1))
    assert seen[3:] == ["a recorded", "a begins", "a trained", "a recorded", "a finished"]


def test_what_failed_before_it_trained_is_not_trained_inside_the_next() -> None:
    runs = Runs()
    seen = runs.all(lambda o: runs.train("a", o, retries=2, broken=2), lambda o: runs.train("b", o))
    assert seen == [
        "a begins", "a begins", "a begins", "a trained", "next",
        "b begins", "a recorded", "a finished", "b trained", "next",
        "b recorded", "b finished",
    ]  # fmt: skip


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_one_that_fails_while_another_is_tried_again_is_tried_again_too(names: str) -> None:
    runs = Runs()
    works = [partial(runs.train, name, retries=2) for name in names]
    seen = runs.all(*works)
    assert sorted(each for each in seen if "finished" in each) == [f"{n} finished" for n in names]
    assert all(seen.count(f"{name} begins") == 3 for name in names)


def test_an_error_of_the_record_while_another_is_tried_again_is_raised() -> None:
    runs, error = Runs(), UserError("no space is left")
    with pytest.raises(UserError) as raised:
        runs.all(
            lambda o: runs.train("a", o, retries=1), lambda o: runs.train("b", o, recording=error)
        )
    assert raised.value is error
    assert "a is left open" in runs.seen


def test_after_an_error_nothing_is_tried_again() -> None:
    runs = Runs()
    with pytest.raises(CutOffError):
        runs.all(
            lambda o: runs.train("a", o, retries=1),
            lambda o: runs.train("b", o, evaluates=(1,), error=CutOffError("signal")),
        )
    assert runs.seen.count("a begins") == 1
    assert runs.seen.count("a recorded") == 1


@pytest.mark.parametrize("fails", most_are_whole(["x.x", "xx", ".xx", "..x"], 1))
def test_trials_whose_record_fails_are_tried_again_whenever_that_is(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = recorder.write_artifacts, list(fails)

    def written(*arguments: Any, **named: Any) -> None:
        if left and left.pop(0) == "x":
            raise RuntimeError("it was told to fail")
        write(*arguments, **named)

    monkeypatch.setattr(recorder, "write_artifacts", written)
    place = f"tracking.dir={tmp_path / 'mlruns'}"
    begin_with_tables(tmp_path / "mlruns")
    words = [*SMALL, place, f"data.cache={tmp_path}", "retries=2", "name=over"]
    outcomes = run_sweep([*words, "head.weight_lr=1,10,20"], compose_config)
    assert [outcome.state for outcome in outcomes] == ["finished"] * 3
    assert run_command("sweep", ["check", "over", place]) == 0
    # no lease was left, and nothing is run again
    again = run_sweep([*words, "head.weight_lr=1,10,20"], compose_config)
    assert [outcome.state for outcome in again] == ["skipped"] * 3


@pytest.mark.parametrize("frozen", [False, True])
def test_training_goes_on_to_the_next_run_while_one_is_recorded(
    frozen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [threading.Event() for _ in range(3)]
    waited: list[bool] = []
    train, write = runner._train, recorder.write_artifacts

    def trained(*arguments: Any) -> None:
        if left := [each for each in begun if not each.is_set()]:
            left[0].set()
        train(*arguments)

    def written(*arguments: Any, **named: Any) -> None:
        if len(waited) < 2:
            waited.append(begun[len(waited) + 1].wait(60))
        write(*arguments, **named)

    monkeypatch.setattr(runner, "_train", trained)
    monkeypatch.setattr(recorder, "write_artifacts", written)
    place = f"tracking.dir={tmp_path / 'mlruns'}"
    frozen_all = ["backbone.freeze=all"] if frozen else []
    arguments = [*SMALL, *frozen_all, place, f"data.cache={tmp_path}", "tracking.keep_models=all"]
    begin_with_tables(tmp_path / "mlruns")
    outcomes = run_sweep([*arguments, "head.weight_lr=1,10,20", "name=over"], compose_config)
    assert waited == [True, True]
    assert [outcome.state for outcome in outcomes] == ["finished"] * 3
    assert run_command("sweep", ["check", "over", place]) == 0
    # each is what it is alone
    alone = f"tracking.dir={tmp_path / 'alone'}"
    (single,) = run(compose_config([*arguments, alone, "head.weight_lr=10"]))
    assert single.state == "finished", single.error
    for name in ("accuracy", "auc", "reported_val_loss"):
        assert outcomes[1].metrics[name] == single.metrics[name]
    files = [
        torch.load(place / str(each.run_id) / "artifacts" / "network.pth", weights_only=True)
        for place, each in (
            (tmp_path / "mlruns" / "artifacts", outcomes[1]),
            (tmp_path / "alone" / "artifacts", single),
        )
    ]
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(files[0][key], files[1][key]) for key in files[0])
