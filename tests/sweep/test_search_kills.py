"""A search whose worker is killed between two writes ends as one that nothing disturbed."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from engine import Instant, composed, settings, start, sweep
from optuna.trial import TrialState
from parameters import most_are_whole
from processes import fork, wait_for
from recorded_study import checked, study_below
from sqlalchemy import Engine, event

from mcalc.console import console
from mcalc.results import Outcome
from mcalc.sweep.__main__ import main
from mcalc.sweep.checking.compare import Remedy, check
from mcalc.sweep.checking.repair import repair
from mcalc.sweep.store import HALF_DRAWN, Lease, Leases, SweepStudy, result
from mcalc.sweep.worker import work_of
from mcalc.trials.places import open_tracker

SPACE = (
    "space: {trainer.lr: {low: 0.0001, high: 0.1, log: true}, head.weight_lr: {low: 1, high: 9}}"
)


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `sweeps/` of the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    return tmp_path / "sweeps"


def recorded(folder: Path) -> list[tuple[object, ...]]:
    """What counts of a search: name, parameters, state, value, evaluations and length of each."""
    return [
        (
            a.user_attrs["name"], a.params, a.state, a.value, a.intermediate_values,
            result(a).get("iterations"),
        )
        for a in study_below(folder).attempts()
    ]  # fmt: skip


def _until_the_write(folder: Path, words: Sequence[str], instant: Instant, number: int) -> None:
    """Run a sweep that dies as its third draw is about to write to a store for the nth time."""
    ask, draws, writes = SweepStudy.ask, [0], [0]

    def counted(*_: Any) -> None:
        writes[0] += draws[0] == 3 and _[2].lstrip().startswith(("INSERT", "UPDATE"))
        if writes[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def asked(*arguments: Any) -> Any:
        draws[0] += 1
        event.listen(Engine, "before_cursor_execute", counted)
        try:
            return ask(*arguments)
        finally:
            event.remove(Engine, "before_cursor_execute", counted)

    SweepStudy.ask = asked  # type: ignore[method-assign]
    console.quiet = True
    sweep(folder, *words, instant=instant)


@pytest.mark.parametrize("sampler", most_are_whole(["tpe", "qmc", "cmaes"], 1))
def test_wherever_a_worker_is_killed_as_it_draws_the_same_is_drawn(
    tmp_path: Path, sweeps: Path, sampler: str
) -> None:
    (sweeps / "mine.yaml").write_text(f"{SPACE}\nsampler: {sampler}\nbudget: {{trials: 4}}\n")
    undisturbed = tmp_path / "undisturbed"
    sweep(undisturbed, "sweep=mine", instant=Instant(tmp_path / "log"))
    number, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        number += 1
        folder = tmp_path / str(number)
        instant = Instant(tmp_path / "log")
        worker = fork(_until_the_write, folder, ["sweep=mine"], instant, number)
        worker.join(120)
        assert worker.exitcode is not None
        status = worker.exitcode
        sweep(folder, "sweep=mine", instant=instant)
        assert recorded(folder) == recorded(undisturbed)
        assert checked(folder)[0].differences == checked(folder)[0].unfinished == []
    assert status == 0
    assert number > 3, "it was killed at each of several writes"


def _until_the_pruner(folder: Path, words: Sequence[str], instant: Instant, place: str) -> None:
    """Run a sweep that dies as its pruner has said yes for the second time, or is to be asked."""
    report, yes, value = SweepStudy.report, [0], [0]
    store = optuna.storages.RDBStorage.set_trial_intermediate_value

    def reported(*arguments: Any) -> bool:
        answer = report(*arguments)
        yes[0] += answer
        if place == "answered" and yes[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    def stored(*arguments: Any) -> None:
        store(*arguments)
        value[0] += yes[0] == 1
        if place == "asked" and value[0] == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    SweepStudy.report = reported  # type: ignore[method-assign]
    optuna.storages.RDBStorage.set_trial_intermediate_value = stored  # type: ignore[method-assign]
    console.quiet = True
    sweep(folder, *words, instant=instant)


@pytest.mark.parametrize(
    ("pruner", "place"),
    most_are_whole(
        [
            # never at the first evaluation, so that one before the last is asked about again
            ("{_target_: optuna.pruners.MedianPruner, n_warmup_steps: 3}", "answered"),
            ("hyperband", "answered"),
            ("median", "answered"),
            ("median", "asked"),
            ("hyperband", "asked"),
            ("patient", "answered"),
            ("{_target_: optuna.pruners.SuccessiveHalvingPruner}", "answered"),
        ],
        2,
    ),
)
def test_a_configuration_that_is_resumed_is_pruned_where_it_would_have_been(
    tmp_path: Path, sweeps: Path, pruner: str, place: str
) -> None:
    # of 14 several are pruned, whatever settings and machine, on which the drawn values depend
    sweeps.joinpath("mine.yaml").write_text(
        f"{SPACE}\nsampler: random\npruner: {pruner}\nbudget: {{trials: 14}}\n"
    )
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    instant = Instant(tmp_path / "log", evaluations=8)
    sweep(undisturbed, "sweep=mine", instant=instant)
    worker = fork(_until_the_pruner, disturbed, ["sweep=mine"], instant, place)
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    # once more, as whoever resumes it may be killed too
    worker = fork(_until_the_pruner, disturbed, ["sweep=mine"], instant, place)
    worker.join(120)
    sweep(disturbed, "sweep=mine", instant=instant)
    assert recorded(disturbed) == recorded(undisturbed)
    assert checked(disturbed)[0].differences == []


def half_drawn(folder: Path, **drawn: float) -> int:
    """An entry as versions before left it, whose worker was killed as it drew."""
    study = study_below(folder)
    low_high = {"trainer.lr": (0.0001, 0.1), "head.weight_lr": (1, 9)}
    space = {
        name: optuna.distributions.FloatDistribution(*low_high[name], log=name == "trainer.lr")
        for name in drawn
    }
    study.study.enqueue_trial(drawn)
    return study.study.ask(space).number


def test_a_configuration_that_was_drawn_in_part_is_named_and_another_takes_its_place(
    tmp_path: Path, sweeps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sweeps / "mine.yaml"
    file.write_text(f"{SPACE}\nbudget: {{trials: 2}}\n")
    sweep(tmp_path, "sweep=mine", instant=Instant(tmp_path / "log"))
    number = half_drawn(tmp_path, **{"trainer.lr": 0.02})
    capsys.readouterr()
    assert main(["check", f"tracking.dir={tmp_path / 'mlruns'}"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"Optuna's entry {number}: its parameter head.weight_lr was never drawn" in said
    sweep(tmp_path, "sweep=mine", "budget.trials=4", instant=Instant(tmp_path / "log"))
    report = checked(tmp_path)[0]
    assert report.differences == report.unfinished == []
    assert report.counts == {"complete": 4}
    attempts = study_below(tmp_path).attempts()
    assert len(attempts) == 4
    assert all(attempt.params.keys() == attempts[0].params.keys() for attempt in attempts)
    assert study_below(tmp_path).attempt(number).state is TrialState.FAIL
    assert HALF_DRAWN in capsys.readouterr().out
    assert len((tmp_path / "log").read_text().split()) == 4


def test_a_configuration_that_a_living_worker_has_is_left_to_it(
    tmp_path: Path, sweeps: Path
) -> None:
    (sweeps / "mine.yaml").write_text(f"{SPACE}\nbudget: {{trials: 1}}\n")
    sweep(tmp_path, "sweep=mine", instant=Instant(tmp_path / "log"))
    number = half_drawn(tmp_path)
    study = study_below(tmp_path)
    leases = Leases(study.storage, study.name)
    with leases.acquire(work_of(number)) as held:
        assert isinstance(held, Lease)
        worker = start(tmp_path, "sweep=mine", "budget.trials=3", instant=Instant(tmp_path / "log"))
        wait_for(lambda: len(study.attempts()) == 3 and len(study.running()) == 1, worker)
        assert [each.number for each in study.running()] == [number]
        found = check(study, open_tracker(composed(settings(tmp_path))), leases).findings
        assert [each.remedy for each in found] == [Remedy.none] * 2
    # it was not the draw's end that was waited for, but its worker's
    worker.join(120)
    assert worker.exitcode == 0
    assert study_below(tmp_path).attempt(number).user_attrs["error"] == HALF_DRAWN
    assert checked(tmp_path)[0].counts == {"complete": 3}


@pytest.mark.parametrize("is_open", [False, True])
def test_a_repair_lets_what_ran_without_a_parameter_count_no_longer(
    tmp_path: Path, sweeps: Path, is_open: bool
) -> None:
    (sweeps / "mine.yaml").write_text(f"{SPACE}\nbudget: {{trials: 2}}\n")
    sweep(tmp_path, "sweep=mine", instant=Instant(tmp_path / "log"))
    study, tracker = study_below(tmp_path), open_tracker(composed(settings(tmp_path)))
    last = study.attempts()[-1]
    number = half_drawn(tmp_path, **{"trainer.lr": last.params["trainer.lr"]})
    writer = tracker.open_trial(f"#{number}", "the key", {}, {}, study.parent())
    identity = {**last.user_attrs["identity"], "values": {"trainer.lr": 0.02}}
    facts = {"name": f"#{number}", "key": "the key", "identity": identity}
    study.set(number, {**facts, "mlflow_run": writer.run_id})
    if not is_open:
        sealed = writer.finish({"accuracy": 0.5, "reported_val_auc": 0.5}, {})
        outcome = Outcome(f"#{number}", "the key", "finished", writer.run_id, {}, manifest=sealed)
        study.end(number, replace(outcome, metrics={"accuracy": 0.5}), 0.5)
    (finding,) = checked(tmp_path)[0].findings
    assert finding.text == f"#{number}: its parameter head.weight_lr was never drawn"
    assert list(repair(study, tracker, [finding]))
    report = checked(tmp_path)[0]
    assert report.differences == report.unfinished == []
    assert report.counts == {"complete": 2}
    sweep(tmp_path, "sweep=mine", "budget.trials=3", instant=Instant(tmp_path / "log"))
    assert checked(tmp_path)[0].counts == {"complete": 3}
    assert checked(tmp_path)[0].differences == []
