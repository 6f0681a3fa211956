"""What Optuna's own tools see of a sweep, on a real SQLite file."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from engine import Instant, settings, sweep
from optuna.trial import TrialState

from mcalc.config.compose import compose_config
from mcalc.sweep.store.storage import storage_url


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
