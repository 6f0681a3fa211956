"""What Optuna's own tools see of a sweep, on a real SQLite file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from engine import Instant, settings, sweep
from optuna.trial import TrialState
from parameters import most_are_whole

from mcalc.config.compose import compose_config
from mcalc.config.trial import plan_trial
from mcalc.sqlite_file import url_of
from mcalc.sweep.__main__ import main as check
from mcalc.sweep.planning import make_plans
from mcalc.sweep.store.definition import check_same_definition
from mcalc.sweep.store.storage import Storage, storage_url
from mcalc.sweep.store.study import SweepStudy
from mcalc.training.device import resolved


def load(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=storage_url(compose_config(settings(folder))))


def test_parameters_values_and_ranges_are_there_for_optunas_analysis(tmp_path: Path) -> None:
    sweep(tmp_path, "head.weight_lr=1,10,4", "backbone=squeezenet,alexnet")
    study = load(tmp_path)
    assert {t.params["head.weight_lr"] for t in study.trials} == {1.0, 4.0, 10.0}
    assert {t.params["backbone"] for t in study.trials} == {"alexnet", "squeezenet"}
    assert all(t.value is not None and t.user_attrs["result"]["seconds"] for t in study.trials)
    importance = optuna.importance.get_param_importances(study)
    assert set(importance) == {"head.weight_lr", "backbone"}
    assert {t.user_attrs["name"] for t in study.trials} == {
        f"head.weight_lr={rate}, backbone={name}"
        for rate in (1, 10, 4)
        for name in ("squeezenet", "alexnet")
    }


def test_more_values_may_be_added_outside_the_range(tmp_path: Path) -> None:
    sweep(tmp_path, "head.weight_lr=5,10")
    sweep(tmp_path, "head.weight_lr=5,10,1,20")
    study = load(tmp_path)
    assert [t.params["head.weight_lr"] for t in study.trials] == [5, 10, 1, 20]
    assert all(t.state is TrialState.COMPLETE for t in study.trials)


def test_a_setting_that_is_null_in_some_rows_is_a_parameter_with_an_importance(
    tmp_path: Path,
) -> None:
    axes = ("stopping.patience=5,null,10", "data.clahe.enabled=true,false", "head.weight_lr=1,10")
    sweep(tmp_path, *axes, "name=mine")
    study = load(tmp_path)
    assert {t.params["stopping.patience"] for t in study.trials} == {5, 10, None}
    assert {t.params["data.clahe.enabled"] for t in study.trials} == {True, False}
    varied = {"stopping.patience", "data.clahe.enabled", "head.weight_lr"}
    assert set(optuna.importance.get_param_importances(study)) == varied


@pytest.mark.parametrize(
    ("first", "more", "known"),
    most_are_whole(
        [
            ("5,null", "5,null,10", {5, None}),
            ("5,10", "5,10,null", {5, 10}),
            ("null", "5,null", {5}),
        ],
        1,
    ),
)
def test_rows_that_come_later_with_a_value_of_another_kind_run(
    first: str, more: str, known: set[int | None], tmp_path: Path
) -> None:
    """Optuna lets no set of categories change: they have the value as an attribute."""
    sweep(tmp_path, "head.weight_lr=1,2", f"stopping.patience={first}", "name=mine")
    sweep(tmp_path, "head.weight_lr=1,2", f"stopping.patience={more}", "name=mine")
    name = load(tmp_path).study_name
    store = storage_url(compose_config(settings(tmp_path)))
    study = SweepStudy.find(Storage(store, 5), name)
    assert study is not None
    # without those whose rows have another name now: more settings vary
    trials = study.attempts()
    assert len(trials) == 2 * len(more.split(","))
    assert all(t.state is TrialState.COMPLETE for t in trials)
    assert {
        t.params["stopping.patience"] for t in trials if "stopping.patience" in t.params
    } == known
    assert check(["check", f"tracking.dir={tmp_path / 'mlruns'}"]) == 0


def test_a_search_minimises_where_its_objective_is_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sweeps"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "space: {head.weight_lr: {low: 1, high: 30}}\nobjective: val_loss\nbudget: {trials: 3}\n"
    )
    monkeypatch.chdir(tmp_path)
    sweep(tmp_path, "sweep=mine", instant=Instant(tmp_path / "log"))
    study = load(tmp_path)
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    accuracies = {t.number: t.user_attrs["result"]["auc"] for t in study.trials}
    assert study.best_trial.number == max(accuracies, key=accuracies.__getitem__)


def test_an_entry_has_its_own_number_whatever_another_worker_makes_meanwhile(
    tmp_path: Path,
) -> None:
    sweep(tmp_path, "head.weight_lr=5,10", "name=mine")
    config = resolved(compose_config(settings(tmp_path)))
    ours, theirs = (SweepStudy.find(Storage(storage_url(config), 5), "mine") for _ in range(2))
    assert ours is not None
    assert theirs is not None
    trials = [plan_trial(name, replace(config, seed=n), "data") for n, name in enumerate("abcd", 7)]
    assert len(ours.newest()) == 2
    numbers = [theirs.begin(trials[0], {}, None), ours.begin(trials[1], {}, None)]
    # nor does it read anything between two of its own
    numbers += [ours.begin(trial, {}, None) for trial in trials[2:]]
    assert numbers == [2, 3, 4, 5]
    names = {t.number: t.user_attrs["name"] for t in load(tmp_path).trials[2:]}
    assert names == dict(zip(numbers, "abcd", strict=True))


def test_an_evaluation_stays_as_it_was_reported_first(tmp_path: Path) -> None:
    """A trial that is resumed comes by evaluations that its dead worker had reported."""
    sweep(tmp_path, "head.weight_lr=5,10", "name=mine")
    config = resolved(compose_config(settings(tmp_path)))
    dead, living = (SweepStudy.find(Storage(storage_url(config), 5), "mine") for _ in range(2))
    assert dead is not None
    assert living is not None
    number = dead.begin(plan_trial("new", replace(config, seed=7), "data"), {}, None)
    dead.report(number, 1, 0.5)
    living.report(number, 1, 0.9)
    living.report(number, 2, 0.6)
    assert load(tmp_path).trials[number].intermediate_values == {1: 0.5, 2: 0.6}


@pytest.mark.parametrize("axis", ["head.weight_lr=interval(1,30)", "head.weight_lr=1,2"])
def test_a_sweep_that_another_worker_is_just_beginning_is_taken_for_the_same(
    axis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one looks after each thing that the first one writes of a new study."""
    (plan,) = make_plans([axis, "budget.trials=2"], compose_config, resolved, lambda _: "data")
    write = optuna.Study.set_user_attr
    looked: list[str] = []

    def write_and_look(study: optuna.Study, name: str, value: object) -> None:
        write(study, name, value)
        check_same_definition(plan, study.user_attrs, [])
        looked.append(name)

    monkeypatch.setattr(optuna.Study, "set_user_attr", write_and_look)
    SweepStudy.create(plan, Storage(url_of(tmp_path / "optuna.db"), 5))
    assert len(looked) >= 3
