"""What the engine promises, with trials that train nothing: real processes, stores and kills."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytest
from engine import Instant, composed, score, settings, start, sweep
from optuna.trial import TrialState
from parameters import most_are_whole
from processes import wait_for
from small_record import CURVE

from mcalc.config import Config
from mcalc.config.arguments import as_typed
from mcalc.data.pipeline import index_data
from mcalc.errors import UserError
from mcalc.results import Outcome, RecordedTrial
from mcalc.sweep.checking.compare import Report, check
from mcalc.sweep.display.summary import summarise
from mcalc.sweep.start import run_sweep
from mcalc.sweep.store.entry import trajectory_of
from mcalc.sweep.store.jobs import Jobs
from mcalc.sweep.store.leases import Leases
from mcalc.sweep.store.storage import Storage, storage_url
from mcalc.sweep.store.study import SweepStudy
from mcalc.sweep.worker.context import WorkerContext
from mcalc.sweep.worker.job import run_job
from mcalc.sweep.worker.search import work_of
from mcalc.tracking.sweep_runs import sweeps_of
from mcalc.training.checkpoint_place import checkpoint_path
from mcalc.trials.places import open_tracker
from mcalc.trials.turns import finish

pytestmark = pytest.mark.slow

RATES = "head.weight_lr=1,2,3,4"
NAMES = [f"head.weight_lr={rate}" for rate in (1, 2, 3, 4)]


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `sweeps/` of a working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweeps"
    folder.mkdir()
    return folder


def study_of(folder: Path, name: str | None = None) -> SweepStudy:
    config = composed(settings(folder))
    storage = Storage(storage_url(config), 5)
    names = [name] if name else optuna.get_all_study_names(storage.optuna)
    (only,) = names
    found = SweepStudy.find(storage, only)
    assert found is not None
    return found


def checked(folder: Path, name: str | None = None) -> Report:
    study = study_of(folder, name)
    tracker = open_tracker(composed(settings(folder)))
    return check(study, tracker, Leases(study.storage, study.name))


def each_once(folder: Path, names: list[str] = NAMES, name: str | None = None) -> None:
    """Every trial is complete once in Optuna and finished once in MLflow, with one value."""
    attempts = study_of(folder, name).attempts()
    complete = [a for a in attempts if a.state is TrialState.COMPLETE]
    assert Counter(a.user_attrs["name"] for a in complete) == dict.fromkeys(names, 1)
    assert not [a for a in attempts if not a.state.is_finished()]
    for attempt in complete:
        assert attempt.value == score(attempt.user_attrs["key"])
    tracker = open_tracker(composed(settings(folder)))
    parent = study_of(folder, name).parent()
    assert parent is not None
    runs = [run for run in tracker.runs_of(parent) if not run.superseded]
    assert Counter(run.name for run in runs) == dict.fromkeys(names, 1)
    assert {run.state for run in runs} == {"finished"}
    assert checked(folder, name).differences == []


def state_of_parent(folder: Path) -> str:
    """The state of the sweep's own run in MLflow."""
    parent = open_tracker(composed(settings(folder))).run(study_of(folder).parent() or "")
    assert parent is not None
    return parent.state


def begun(folder: Path) -> list[str]:
    return (folder / "log").read_text().split("\n")[:-1]


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.name: outcome.state for outcome in outcomes}


@pytest.mark.parametrize(
    ("place", "again"),
    most_are_whole(
        [
            # the trial that was under way is begun again, unless MLflow has its result
            ("recorded", ["head.weight_lr=3", "head.weight_lr=4"]),
            ("began", ["head.weight_lr=2", "head.weight_lr=3", "head.weight_lr=4"]),
            ("told", ["head.weight_lr=3", "head.weight_lr=4"]),
        ],
        1,
    ),
)
def test_wherever_a_worker_is_killed_no_trial_is_lost_or_repeated(
    tmp_path: Path, place: str, again: list[str]
) -> None:
    worker = start(tmp_path, RATES, instant=Instant(tmp_path / "log", place, "head.weight_lr=2"))
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    assert begun(tmp_path) == NAMES[:2]
    before = checked(tmp_path)
    if place == "began":
        assert before.unfinished == ["head.weight_lr=2"]
    outcomes = sweep(tmp_path, RATES)
    assert begun(tmp_path)[2:] == again
    assert set(states(outcomes)) == set(NAMES)
    each_once(tmp_path)
    (second,) = [a for a in study_of(tmp_path).attempts() if a.user_attrs["name"] == NAMES[1]]
    assert second.user_attrs.get("resumed", 0) == int(place != "told")
    # and once more: nothing is left to do
    sweep(tmp_path, RATES)
    assert begun(tmp_path)[2:] == again


def test_what_is_kept_of_a_killed_worker_has_its_evaluations_in_the_study(tmp_path: Path) -> None:
    worker = start(tmp_path, RATES, instant=Instant(tmp_path / "log", "recorded", files=True))
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    sweep(tmp_path, RATES)
    (first,) = [a for a in study_of(tmp_path).attempts() if a.user_attrs["name"] == NAMES[0]]
    accuracies = [point.val_accuracy for point in CURVE]
    assert first.intermediate_values == dict(enumerate(accuracies, start=1))
    each_once(tmp_path)


@pytest.mark.parametrize("place", most_are_whole(["recorded", "began"], 1))
def test_scores_without_an_image_of_a_resumed_sweep_are_of_all_its_trials(
    tmp_path: Path, place: str
) -> None:
    instant = Instant(tmp_path / "log", baselines=True)
    worker = start(tmp_path, RATES, instant=replace(instant, kill_at=place, kill_name=NAMES[3]))
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    sweep(tmp_path, RATES, instant=instant)
    study = study_of(tmp_path)
    mean = fmean(score(attempt.user_attrs["key"]) for attempt in study.attempts())
    parent = open_tracker(composed(settings(tmp_path))).run(study.parent() or "")
    assert parent is not None
    assert parent.metrics["size_auc"] == mean
    assert len(study.attempts()) == len(NAMES)


def test_a_checkpoint_that_a_kill_left_of_a_recorded_run_is_removed(tmp_path: Path) -> None:
    failing = Instant(tmp_path / "log", failures={NAMES[3]: 9})
    with pytest.raises(UserError):
        sweep(tmp_path, RATES, "retries=0", instant=failing)
    left = {
        attempt.user_attrs["name"]: checkpoint_path(tmp_path / "mlruns", trajectory_of(attempt))
        for attempt in study_of(tmp_path).attempts()
    }
    for file in left.values():
        file.parent.mkdir(exist_ok=True)
        file.touch()
    with pytest.raises(UserError):
        sweep(tmp_path, RATES, "retries=0", instant=failing)
    kept = [name for name, file in left.items() if file.exists()]
    assert kept == [NAMES[3]], "the one that failed begins from there"


@pytest.mark.whole
def test_what_mlflow_has_is_not_run_again_where_the_study_was_lost(tmp_path: Path) -> None:
    # in processes of their own: the file is gone for all who had it open
    for _ in range(2):
        worker = start(tmp_path, RATES, instant=Instant(tmp_path / "log"))
        worker.join(120)
        assert worker.exitcode == 0
        assert begun(tmp_path) == NAMES
        study = tmp_path / "mlruns" / "optuna.db"
        study.rename(tmp_path / "optuna.db")
    (tmp_path / "optuna.db").rename(study)
    each_once(tmp_path)


@pytest.mark.whole
def test_three_workers_share_a_sweep_and_one_is_killed(tmp_path: Path) -> None:
    rates = "head.weight_lr=range(1,13)"
    names = [f"head.weight_lr={rate}" for rate in range(1, 13)]
    held = Instant(tmp_path / "log", gate=tmp_path / "gate")
    workers = [start(tmp_path, rates, instant=held) for _ in range(3)]
    wait_for(lambda: (tmp_path / "log").exists() and len(begun(tmp_path)) == 3, *workers)
    victim = workers[0]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    (tmp_path / "gate").touch()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL, 0, 0]
    each_once(tmp_path, names)
    # what the victim had begun is begun again by another, and nothing else is
    repeated = [name for name, number in Counter(begun(tmp_path)).items() if number > 1]
    assert len(repeated) == 1


@pytest.mark.whole
def test_a_run_that_a_dead_worker_opened_is_closed_by_a_living_one(tmp_path: Path) -> None:
    living = start(tmp_path, RATES, instant=Instant(tmp_path / "log", gate=tmp_path / "gate"))
    wait_for((tmp_path / "log").exists, living)
    # it dies after MLflow has its run and before Optuna knows of it
    dying = start(tmp_path, RATES, instant=Instant(tmp_path / "log", "opened"))
    dying.join(120)
    assert dying.exitcode == -signal.SIGKILL
    (tmp_path / "gate").touch()
    living.join(120)
    assert living.exitcode == 0
    each_once(tmp_path)


@pytest.mark.whole
@pytest.mark.parametrize("place", ["opened", "began", "recorded"])
def test_a_living_workers_trial_is_left_to_it(tmp_path: Path, place: str) -> None:
    """Also where MLflow has its run, or its end, and Optuna does not yet."""
    held = Instant(tmp_path / "log", gate=tmp_path / "gate", gate_name=NAMES[0], gate_at=place)
    first = start(tmp_path, RATES, instant=held)
    wait_for(held.reached.exists, first)
    second = start(tmp_path, RATES, instant=Instant(tmp_path / "log"))
    # it has looked at what there is before its first trial, and is left with that of the other
    wait_for(lambda: study_of(tmp_path).tally().states.get(TrialState.COMPLETE) == 3, first, second)
    (tmp_path / "gate").touch()
    for worker in (first, second):
        worker.join(60)
        assert worker.exitcode == 0
    assert Counter(begun(tmp_path)) == dict.fromkeys(NAMES, 1)
    each_once(tmp_path)


@pytest.mark.whole
def test_the_end_of_a_sweep_waits_for_the_last_trial_of_another_worker(tmp_path: Path) -> None:
    slow = Instant(tmp_path / "log", seconds=4)
    worker = start(tmp_path, "head.weight_lr=1,2", instant=slow)
    # the other one is at the last
    wait_for(lambda: (tmp_path / "log").exists() and len(begun(tmp_path)) == 2, worker)
    outcomes = sweep(tmp_path, "head.weight_lr=1,2")
    assert states(outcomes) == dict.fromkeys(NAMES[:2], "skipped")
    assert begun(tmp_path) == NAMES[:2]
    worker.join(60)
    assert worker.exitcode == 0


class Counted:
    """A launcher that runs its jobs in this process, and keeps how many it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given: list[int] = []

    def at_once(self, jobs: int, config: Config) -> int:
        return min(jobs, 2)

    def launch(self, tokens: Sequence[str], config: Config) -> list[list[Outcome]]:
        self.given.append(len(tokens))
        execute = Instant(self.folder / "log")
        found = []
        for token in tokens:
            storage = Storage(storage_url(config), 5)
            job = Jobs(storage).find(token, config)
            context = WorkerContext(config, job.sweep, storage=storage, execute=execute)
            found.append(finish(run_job(job, context)))
        return found


@pytest.mark.whole
def test_a_launcher_is_given_nothing_that_another_worker_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    held = Instant(tmp_path / "log", gate=gate, gate_name=NAMES[1])
    worker = start(tmp_path, "head.weight_lr=1,2", instant=held)
    wait_for(lambda: (tmp_path / "log").exists() and len(begun(tmp_path)) == 2, worker)
    launcher = Counted(tmp_path)
    # so late that it is asked several times who runs what is left
    later = threading.Timer(4, gate.touch)
    later.start()
    run_sweep([*settings(tmp_path), "head.weight_lr=1,2"], composed, launcher=lambda _: launcher)
    later.join()
    # the open one once at the beginning, and once more when nobody holds it
    assert launcher.given in ([1], [1, 1])
    assert begun(tmp_path) == NAMES[:2]
    worker.join(60)
    assert worker.exitcode == 0


def test_a_launcher_gets_as_many_jobs_as_a_budget_has_left(tmp_path: Path) -> None:
    search = ("head.weight_lr=interval(1,30)", "name=tries")
    sweep(tmp_path, *search, "budget.trials=3")
    launcher = Counted(tmp_path)
    run_sweep([*settings(tmp_path), *search, "budget.trials=5"], composed, lambda _: launcher)
    assert launcher.given == [2]
    assert len(begun(tmp_path)) == 5


@pytest.mark.parametrize("name", most_are_whole(["it's", 'the "mine"', 'it\'s "mine"'], 1))
def test_a_sweep_of_any_name_goes_on_and_is_read(tmp_path: Path, name: str) -> None:
    arguments = ("head.weight_lr=1,2", as_typed(f"name={name}"))
    sweep(tmp_path, *arguments)
    assert set(states(sweep(tmp_path, *arguments)).values()) == {"skipped"}
    for file in (tmp_path / "mlruns").glob("optuna.db*"):
        file.unlink()
    # found by the name of its run
    sweep(tmp_path, *arguments)
    assert begun(tmp_path) == NAMES[:2]
    tracker = open_tracker(composed(settings(tmp_path)))
    assert [(each.name, each.finished) for each in sweeps_of(tracker)] == [(name, 2)]
    assert checked(tmp_path).differences == []


@pytest.mark.whole
def test_more_rows_extend_a_sweep_and_an_edited_value_runs_alone(tmp_path: Path) -> None:
    sweep(tmp_path, "head.weight_lr=1,2")
    sweep(tmp_path, RATES)
    assert begun(tmp_path) == NAMES
    each_once(tmp_path)
    # a place is no value
    sweep(tmp_path, RATES, "trainer.workers=2", "tracking.keep_models=none")
    assert begun(tmp_path) == NAMES


def test_what_earlier_rows_varied_may_be_shared_by_all_of_a_later_command(tmp_path: Path) -> None:
    sweep(tmp_path, "head.weight_lr=7", "backbone.lr_decay=0.5,1", "name=mine")
    sweep(tmp_path, "head.weight_lr=7,8", "backbone.lr_decay=0.5", "name=mine")
    assert len(begun(tmp_path)) == 3


@pytest.mark.whole
def test_an_edited_file_re_runs_what_the_edit_touches_and_a_dry_run_says_why(
    tmp_path: Path, sweeps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sweeps / "mine.yaml"
    file.write_text("rows:\n  A: {head.weight_lr: 1}\n  B: {head.weight_lr: 2}\n")
    sweep(tmp_path, "sweep=mine")
    file.write_text("# a comment\nrows:\n  A: {head.weight_lr: 1.0}\n  B: {head.weight_lr: 2}\n")
    sweep(tmp_path, "sweep=mine")
    assert begun(tmp_path) == ["A", "B"], "a comment and 1.0 for 1 change nothing"
    file.write_text("rows:\n  A: {head.weight_lr: 1}\n  B: {head.weight_lr: 5}\n  C: {seed: 3}\n")
    sweep(tmp_path, "sweep=mine", "dry_run=true")
    said = capsys.readouterr().out
    assert "A (finished)" in said
    assert "B (changed: head.weight_lr 2.0 to 5.0)" in said
    assert "C (new)" in said
    assert "1 finished, 2 to run" in said
    assert "at most" in said
    assert "of disk" in said
    sweep(tmp_path, "sweep=mine")
    assert begun(tmp_path) == ["A", "B", "B", "C"]


@pytest.mark.whole
def test_changed_data_run_everything_again_and_the_plan_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(tmp_path, RATES, "data.phantom.seed=1", "name=mine")
    config = composed([*settings(tmp_path), "data.phantom.seed=1"])
    crop = index_data(config.data).index.lesions[0].crop
    assert crop is not None
    content = bytearray(crop.read_bytes())
    content[-3] ^= 1
    crop.write_bytes(content)
    capsys.readouterr()
    sweep(tmp_path, RATES, "data.phantom.seed=1", "name=mine", "dry_run=true")
    assert capsys.readouterr().out.count("(changed: the data changed)") == 4


@pytest.mark.whole
def test_rerun_runs_all_again_and_supersedes(tmp_path: Path) -> None:
    sweep(tmp_path, RATES)
    sweep(tmp_path, RATES, "rerun=true")
    assert begun(tmp_path) == NAMES * 2
    report = checked(tmp_path)
    assert report.differences == []
    parent = study_of(tmp_path).parent()
    assert parent is not None
    runs = open_tracker(composed(settings(tmp_path))).runs_of(parent)
    assert [run.superseded for run in runs] == [True] * 4 + [False] * 4


@pytest.mark.whole
def test_a_rerun_that_fails_leaves_the_finished_run_in_its_place(tmp_path: Path) -> None:
    sweep(tmp_path, RATES)
    failing = Instant(tmp_path / "log", failures={"head.weight_lr=2": 99})
    with pytest.raises(UserError, match="1 of 4 trials failed"):
        sweep(tmp_path, RATES, "rerun=true", "retries=0", instant=failing)
    parent = study_of(tmp_path).parent()
    assert parent is not None
    runs = open_tracker(composed(settings(tmp_path))).runs_of(parent)
    kept = {run.name: run.state for run in runs if not run.superseded and run.state != "failed"}
    assert kept == dict.fromkeys(NAMES, "finished")
    assert [run.superseded for run in runs if run.name == "head.weight_lr=2"] == [False, False]


@pytest.mark.whole
def test_a_failure_is_tried_again_as_often_as_allowed_and_then_recorded(tmp_path: Path) -> None:
    flaky = Instant(tmp_path / "log", failures={"head.weight_lr=2": 2})
    with pytest.raises(UserError, match=r"1 of 4 trials failed.*told to fail"):
        sweep(tmp_path, RATES, "retries=1", instant=flaky)
    assert Counter(begun(tmp_path)) == {**dict.fromkeys(NAMES, 1), "head.weight_lr=2": 2}
    attempts = study_of(tmp_path).attempts()
    failed = [a for a in attempts if a.state is TrialState.FAIL]
    assert [a.user_attrs["error"] for a in failed] == ["it was told to fail"] * 2
    assert [a.user_attrs["identity"]["attempt"] for a in failed] == [1, 2]
    assert checked(tmp_path).differences == []
    assert state_of_parent(tmp_path) == "failed"
    # the same command tries it again, in the same MLflow run
    sweep(tmp_path, RATES, "retries=1", instant=flaky)
    each_once(tmp_path)
    assert state_of_parent(tmp_path) == "finished"


@pytest.mark.whole
def test_a_parent_run_that_mlflow_lost_is_made_anew_or_restored(tmp_path: Path) -> None:
    sweep(tmp_path, RATES)
    first = study_of(tmp_path).parent()
    assert first is not None
    open_tracker(composed(settings(tmp_path))).client.delete_run(first)
    sweep(tmp_path, "head.weight_lr=1,2,3,4,5")
    assert study_of(tmp_path).parent() == first
    each_once(tmp_path, [*NAMES, "head.weight_lr=5"])
    for file in (tmp_path / "mlruns").glob("mlflow.db*"):
        file.unlink()
    # in a process of its own, as MLflow keeps the file open that is gone
    worker = start(tmp_path, "head.weight_lr=1,2,3,4,5,6", instant=Instant(tmp_path / "log"))
    worker.join(60)
    assert worker.exitcode == 0
    found = study_of(tmp_path).parent()
    assert found != first
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database:
        runs = dict(database.execute("SELECT run_uuid, name FROM runs").fetchall())
    assert found in runs
    assert "head.weight_lr=6" in runs.values()


@pytest.mark.whole
def test_one_name_is_one_sweep_and_another_is_refused_with_the_difference(tmp_path: Path) -> None:
    sweep(tmp_path, RATES, "name=mine")
    with pytest.raises(UserError) as raised:
        sweep(tmp_path, RATES, "name=mine", "trainer.lr=0.5", "protocol=patient")
    said = str(raised.value)
    assert "'mine' is recorded with other settings" in said
    assert "trainer.lr: 0.0001 before, 0.5 now" in said
    assert "protocol.name: paper before, patient now" in said
    assert "name=NAME" in said
    with pytest.raises(UserError, match="explicit trials before, a search now"):
        sweep(tmp_path, "head.weight_lr=interval(1,3)", "budget.trials=2", "name=mine")
    assert len(begun(tmp_path)) == 4


@pytest.mark.parametrize(
    "sampler",
    most_are_whole(
        [
            "tpe",
            "random",
            "qmc",
            "cmaes",
            "{_target_: optuna.samplers.TPESampler, multivariate: true, n_startup_trials: 2}",
        ],
        1,
    ),
)
def test_a_search_ends_with_its_budget_and_goes_on_with_more(
    tmp_path: Path, sweeps: Path, sampler: str
) -> None:
    (sweeps / "mine.yaml").write_text(
        "space:\n  head.weight_lr: {low: 1, high: 30, log: true}\n  trainer.lr: {low: 1.0e-5, "
        f"high: 0.1}}\nsampler: {sampler}\nbudget: {{trials: 4}}\n"
    )
    sweep(tmp_path, "sweep=mine")
    assert len(begun(tmp_path)) == 4
    sweep(tmp_path, "sweep=mine")
    assert len(begun(tmp_path)) == 4
    sweep(tmp_path, "sweep=mine", "budget.trials=6")
    attempts = study_of(tmp_path).attempts()
    assert [a.state for a in attempts] == [TrialState.COMPLETE] * 6
    drawn = {tuple(a.params.values()) for a in attempts}
    assert len(drawn) == 6, "a worker that starts later draws other values"
    for attempt in attempts:
        assert 1 <= attempt.params["head.weight_lr"] <= 30
        assert attempt.value == score(attempt.user_attrs["key"])
    assert checked(tmp_path).differences == []


@pytest.mark.parametrize(
    "sampler",
    most_are_whole(
        [
            "{_target_: optuna.samplers.QMCSampler, qmc_type: halton}",
            "{_target_: optuna.samplers.PartialFixedSampler, fixed_params: {trainer.lr: 0.01}, "
            "base_sampler: {_target_: optuna.samplers.GPSampler, n_startup_trials: 1}}",
            "gp",
            "{_target_: optuna.samplers.CmaEsSampler, use_separable_cma: true}",
            "{_target_: optuna.samplers.NSGAIISampler, population_size: 2, "
            "crossover: {_target_: optuna.samplers.nsgaii.UniformCrossover}}",
            "{_target_: optuna.samplers.NSGAIIISampler, population_size: 2}",
        ],
        2,
    ),
)
def test_any_of_optunas_samplers_draws(tmp_path: Path, sweeps: Path, sampler: str) -> None:
    (sweeps / "mine.yaml").write_text(
        "space: {head.weight_lr: {low: 1, high: 30}, trainer.lr: {low: 0.001, high: 0.1}}\n"
        f"sampler: {sampler}\nbudget: {{trials: 4}}\n"
    )
    sweep(tmp_path, "sweep=mine")
    attempts = study_of(tmp_path).attempts()
    assert [a.state for a in attempts] == [TrialState.COMPLETE] * 4
    assert len({a.params["head.weight_lr"] for a in attempts}) > 1
    if "PartialFixed" in sampler:
        assert {a.params["trainer.lr"] for a in attempts} == {0.01}


def test_a_search_that_goes_on_over_other_data_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ("head.weight_lr=interval(1,30)", "name=mine", "data.phantom.seed=1")
    sweep(tmp_path, *arguments, "budget.trials=2")
    assert "other data" not in caplog.text
    crop = (
        index_data(composed([*settings(tmp_path), "data.phantom.seed=1"]).data)
        .index.lesions[0]
        .crop
    )
    assert crop is not None
    content = bytearray(crop.read_bytes())
    content[-3] ^= 1
    crop.write_bytes(content)
    sweep(tmp_path, *arguments, "budget.trials=3")
    assert "2 configurations of mine were recorded with other data" in caplog.text


def test_a_search_of_few_choices_runs_none_twice(tmp_path: Path) -> None:
    sweep(tmp_path, "seed=interval(0,1)", "head.bias_lr=1,2", "budget.trials=9")
    attempts = study_of(tmp_path).attempts()
    assert len(attempts) == 9
    assert len(begun(tmp_path)) == len({tuple(a.params.values()) for a in attempts}) <= 4
    by_params: dict[tuple[object, ...], set[float | None]] = {}
    for attempt in attempts:
        by_params.setdefault(tuple(attempt.params.values()), set()).add(attempt.value)
    assert all(len(values) == 1 for values in by_params.values())
    assert checked(tmp_path).differences == []


def test_a_configuration_without_an_objective_fails_and_is_not_run_again(tmp_path: Path) -> None:
    instant = Instant(tmp_path / "log", single_class=True)
    arguments = ("head.weight_lr=interval(1,30)", "budget.trials=2")
    with pytest.raises(UserError, match=r"2 of 2 trials failed.*objective is not a number"):
        sweep(tmp_path, *arguments, instant=instant)
    attempts = study_of(tmp_path).attempts()
    assert [a.state for a in attempts] == [TrialState.FAIL] * 2
    assert all("both classes" in a.user_attrs["error"] for a in attempts)
    assert checked(tmp_path).differences == []
    sweep(tmp_path, *arguments, instant=instant)
    assert len(begun(tmp_path)) == 2


def test_a_budget_in_hours_counts_the_training_of_all(tmp_path: Path) -> None:
    # each trial reports 36 s: a hundredth of an hour
    sweep(tmp_path, "head.weight_lr=interval(1,30)", "budget.hours=0.025")
    assert len(begun(tmp_path)) == 3


@pytest.mark.whole
@pytest.mark.parametrize(
    "pruner",
    most_are_whole(
        [
            "median",
            "{_target_: optuna.pruners.PercentilePruner, percentile: 30.0, n_startup_trials: 3}",
            "hyperband",
            "patient",
        ],
        2,
    ),
)
def test_pruned_trials_are_marked_in_both_stores_and_not_run_again(
    tmp_path: Path, sweeps: Path, pruner: str
) -> None:
    (sweeps / "mine.yaml").write_text(
        "space:\n  head.weight_lr: {low: 1, high: 30}\n"
        f"pruner: {pruner}\nsampler: random\nbudget: {{trials: 14}}\n"
    )
    instant = Instant(tmp_path / "log", evaluations=12)
    sweep(tmp_path, "sweep=mine", instant=instant)
    attempts = study_of(tmp_path).attempts()
    pruned = [a for a in attempts if a.state is TrialState.PRUNED]
    assert pruned
    assert len(pruned) < len(attempts)
    assert all(len(a.intermediate_values) < 12 for a in pruned)
    report = checked(tmp_path)
    assert report.differences == []
    assert report.counts["pruned"] == len(pruned)
    sweep(tmp_path, "sweep=mine", instant=instant)
    assert len(begun(tmp_path)) == 14
    figures = summarise(study_of(tmp_path)).metrics
    assert figures["trials_pruned"] == len(pruned)
    assert figures["iterations_saved_by_pruning"] > 0


def test_a_search_with_seeds_judges_a_configuration_by_their_mean(
    tmp_path: Path, sweeps: Path
) -> None:
    (sweeps / "mine.yaml").write_text(
        "space:\n  head.weight_lr: {low: 1, high: 30}\nseeds: [0, 1, 2]\nbudget: {trials: 2}\n"
    )
    worker = start(
        tmp_path, "sweep=mine", instant=Instant(tmp_path / "log", "recorded", "#1, seed=1")
    )
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    sweep(tmp_path, "sweep=mine")
    assert Counter(begun(tmp_path)) == {
        f"#{number}, seed={seed}": 1 for number in (0, 1) for seed in (0, 1, 2)
    }, "seeds that were finished before the kill are not run again"
    for attempt in study_of(tmp_path).attempts():
        runs = attempt.user_attrs["runs"]
        assert len(runs) == 3
        # an interval of a mean is not the mean of intervals
        assert "auc" in attempt.user_attrs["result"]
        assert not {"accuracy_low", "accuracy_high"} & set(attempt.user_attrs["result"])
        assert attempt.value == pytest.approx(sum(map(score, runs)) / 3)
    assert checked(tmp_path).differences == []


def test_the_pruner_looks_at_the_first_seed_alone(tmp_path: Path, sweeps: Path) -> None:
    (sweeps / "mine.yaml").write_text(
        "space:\n  head.weight_lr: {low: 1, high: 30}\nseeds: [0, 1]\nbudget: {trials: 1}\n"
        "pruner: median\n"
    )
    # a later seed may have more evaluations, as patience ends each where it will
    instant = Instant(tmp_path / "log", evaluations=3, longer={"#0, seed=1": 6})
    sweep(tmp_path, "sweep=mine", instant=instant)
    (attempt,) = study_of(tmp_path).attempts()
    assert sorted(attempt.intermediate_values) == [1, 2, 3]


def test_a_configuration_that_its_worker_ended_meanwhile_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("head.weight_lr=interval(1,30)", "budget.trials=1", "name=mine")
    worker = start(tmp_path, *arguments, instant=Instant(tmp_path / "log", "began"))
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    study = study_of(tmp_path, "mine")
    (attempt,) = study.attempts()
    outcome = Outcome("#0", attempt.user_attrs["key"], "finished", None, {"accuracy": 0.6})

    class Late(Leases):
        """Whoever asks for the configuration's lease gets it when its worker has just ended it."""

        def acquire(self, work: str) -> Any:
            if work == work_of(attempt.number):
                study.end(attempt.number, outcome, 0.6)
            return super().acquire(work)

    monkeypatch.setattr("mcalc.sweep.worker.context.Leases", Late)
    sweep(tmp_path, *arguments)
    assert len(begun(tmp_path)) == 1
    assert [a.value for a in study.attempts()] == [0.6]


@pytest.mark.whole
def test_workers_that_search_together_do_not_overdraw(tmp_path: Path) -> None:
    arguments = ("head.weight_lr=interval(1,30)", "budget.trials=7")
    slow = Instant(tmp_path / "log", seconds=0.2)
    workers = [start(tmp_path, *arguments, instant=slow) for _ in range(3)]
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(begun(tmp_path)) == 7
    assert [a.state for a in study_of(tmp_path).attempts()] == [TrialState.COMPLETE] * 7
    assert checked(tmp_path).differences == []


def test_the_parent_run_sums_up(tmp_path: Path) -> None:
    sweep(tmp_path, "head.weight_lr=1,5", "stopping.patience=3,9", "seed=0,1")
    summary = summarise(study_of(tmp_path))
    values = [a.value for a in study_of(tmp_path).attempts()]
    assert summary.metrics["best_value"] == max(values)  # type: ignore[type-var]
    assert summary.metrics["mean_value"] == pytest.approx(sum(values) / 8)  # type: ignore[arg-type]
    # runs of patience 3 and 9 take 30 and 90 iterations, and share the first 30
    assert summary.metrics["iterations_trained"] == 4 * 90
    assert summary.metrics["iterations_saved_by_sharing"] == 4 * 30
    by_name = {a.user_attrs["name"]: a.value for a in study_of(tmp_path).attempts()}
    found = summary.over_seeds["head.weight_lr=1, stopping.patience=3"]
    two = [by_name[f"head.weight_lr=1, stopping.patience=3, seed={seed}"] for seed in (0, 1)]
    assert found["mean"] == pytest.approx(sum(two) / 2)
    assert found["sd"] == pytest.approx(abs(two[0] - two[1]) / math.sqrt(2))
    assert sum(summary.importance.values()) == pytest.approx(1)
    tracker = open_tracker(composed(settings(tmp_path)))
    parent = tracker.run(study_of(tmp_path).parent() or "")
    assert parent is not None
    assert parent.metrics["best_value"] == summary.metrics["best_value"]


def test_the_check_says_what_differs(tmp_path: Path) -> None:
    sweep(tmp_path, RATES)
    tracker = open_tracker(composed(settings(tmp_path)))
    runs = {run.name: run for run in tracker.runs_of(study_of(tmp_path).parent() or "")}
    tracker.client.delete_run(runs[NAMES[0]].run_id)
    tracker.client.set_terminated(runs[NAMES[1]].run_id, "FAILED")
    tracker.open_trial("a stray", "k", {}, {}, study_of(tmp_path).parent())
    differences = "\n".join(checked(tmp_path).differences)
    assert f"{NAMES[0]}: its run {runs[NAMES[0]].run_id} is deleted in MLflow" in differences
    assert f"{NAMES[1]}: it is failed, and was finished" in differences
    assert "a stray: MLflow has a run" in differences
    assert NAMES[2] not in differences


@pytest.mark.whole
def test_every_attempt_keeps_its_settings_though_a_later_command_varies_what_was_shared(
    tmp_path: Path,
) -> None:
    sweep(tmp_path, "head.weight_lr=1,2", "name=mine")
    sweep(tmp_path, "head.weight_lr=1,2", "trainer.lr=0.0001,0.001", "name=mine")
    study = study_of(tmp_path, "mine")
    known = [{**study.shared, **a.user_attrs["identity"]["settings"]} for a in study.attempts()]
    rates = [(each["head.weight_lr"], each["trainer.lr"]) for each in known]
    assert sorted(rates) == [(1, 0.0001), (1, 0.001), (2, 0.0001), (2, 0.001)]
    assert all(each.keys() == known[0].keys() for each in known)
    assert checked(tmp_path, "mine").differences == []


def test_the_check_finds_small_differences_doubles_and_broken_seeds(
    tmp_path: Path, sweeps: Path
) -> None:
    space = "space: {head.weight_lr: {low: 1, high: 30}}\nsampler: random\n"
    (sweeps / "seeds.yaml").write_text(f"{space}seeds: [0, 1]\nbudget: {{trials: 1}}")
    (sweeps / "pruned.yaml").write_text(
        f"{space}pruner: {{_target_: optuna.pruners.ThresholdPruner, lower: 0.9}}\n"
        "budget: {trials: 1}"
    )
    sweep(tmp_path, RATES, "name=rates")
    sweep(tmp_path, "sweep=seeds", "name=seeds")
    sweep(tmp_path, "sweep=pruned", "name=pruned", instant=Instant(tmp_path / "log", evaluations=3))
    tracker = open_tracker(composed(settings(tmp_path)))

    def runs(name: str) -> dict[str, RecordedTrial]:
        assert checked(tmp_path, name).differences == []
        return {run.name: run for run in tracker.runs_of(study_of(tmp_path, name).parent() or "")}

    changed = runs("rates")[NAMES[0]]
    for metric in ("accuracy", "reported_val_auc", "reported_val_accuracy"):
        tracker.client.log_metric(
            changed.run_id, f"result/{metric}", changed.metrics[metric] + 0.001
        )
    differences = checked(tmp_path, "rates").differences
    assert [each.partition(" is ")[0] for each in differences] == [
        f"{NAMES[0]}: its metric {metric}"
        for metric in ("accuracy", "reported_val_accuracy", "reported_val_auc")
    ]

    tracker.client.set_terminated(runs("seeds")["#0, seed=0"].run_id, "FAILED")
    (difference,) = checked(tmp_path, "seeds").differences
    assert "#0, seed=0: it is failed, and was finished" in difference
    # of a configuration that has not ended, the seeds before the last one have to be done too
    with closing(sqlite3.connect(tmp_path / "mlruns" / "optuna.db")) as database, database:
        ours = "(SELECT study_id FROM studies WHERE study_name = 'seeds')"
        database.execute(f"UPDATE trials SET state = 'RUNNING' WHERE study_id = {ours}")
    said = checked(tmp_path, "seeds").differences
    assert any("#0: RUNNING in Optuna, failed in MLflow" in each for each in said)

    (first,) = runs("pruned").values()
    assert first.state == "pruned"
    parent = study_of(tmp_path, "pruned").parent()
    tracker.open_trial(first.name, first.key, {}, {}, parent).prune({}, {})
    assert any("2 finished runs" in each for each in checked(tmp_path, "pruned").differences)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("storage=nonsense", "is not an address of a database"),
        ("storage=nosuchdb://host/x", "is not an address of a database"),
        ("storage=sqlite+nosuch:///x.db", "no driver for it is installed"),
    ],
)
def test_a_store_that_is_none_is_said(tmp_path: Path, argument: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        sweep(tmp_path, RATES, argument)


def test_a_store_that_does_not_answer_is_waited_for_and_then_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg", reason="pip install psycopg[binary]")
    # nothing listens there
    address = "storage='postgresql+psycopg://somebody:secret@127.0.0.1:9/mcalc'"
    with pytest.raises(UserError) as raised:
        sweep(tmp_path, RATES, address, "storage_wait=1")
    assert "could not be reached" in str(raised.value)
    printed = capsys.readouterr().out + str(raised.value)
    assert "waiting up to 1 s" in printed
    assert "secret" not in printed
    assert not (tmp_path / "log").exists()


def test_a_plan_alone_makes_no_store(tmp_path: Path) -> None:
    run_sweep([*settings(tmp_path), RATES, "dry_run=true"], composed)
    assert not (tmp_path / "mlruns").exists()
