"""A search as Optuna and MLflow have it, of trials that really train."""

from __future__ import annotations

import signal
from pathlib import Path

import engine
import pytest
from engine import Instant, composed, start, sweep
from parameters import most_are_whole
from recorded_study import study_below
from small_record import CURVE

from mcalc.sweep.__main__ import main
from mcalc.sweep.start import run_sweep
from mcalc.tracking.reader import read_trials

SEARCH = (
    *("backbone.freeze=all", "head.weight_lr=interval(1,30)", "budget.trials=3", "name=mine"),
    *("trainer.batch_size=2", "trainer.max_epochs=100", "trainer.lr=1e-3"),
)


def settings(folder: Path) -> list[str]:
    """Overrides that keep a sweep inside a folder, of a network that learns from its first step."""
    return [
        "backbone=alexnet" if "squeezenet" in each else each for each in engine.settings(folder)
    ]


@pytest.mark.parametrize(
    "end",
    most_are_whole(
        [
            ["trainer.max_iterations=7", "trainer.val_every=3", "stopping.patience=null"],
            ["trainer.max_iterations=60", "trainer.val_every=2", "stopping.patience=1"],
            ["trainer.max_iterations=6", "trainer.val_every=3", "stopping.patience=null"],
            ["trainer.max_epochs=2", "trainer.val_every=5", "stopping.patience=null"],
        ],
        1,
    ),
)
def test_every_evaluation_is_in_both_stores_however_a_run_ends(
    tmp_path: Path, end: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep([*settings(tmp_path), *SEARCH, *end], composed)
    curves = {
        trial.name: {step: point.val_auc for step, point in enumerate(trial.curve, start=1)}
        for trial in read_trials(composed(settings(tmp_path)).tracking, "mine")
    }
    attempts = study_below(tmp_path).attempts()
    assert len(attempts) == len(curves) == 3
    for attempt in attempts:
        assert attempt.intermediate_values == curves[attempt.user_attrs["name"]]
    capsys.readouterr()
    assert main(["check", f"tracking.dir={tmp_path / 'mlruns'}"]) == 0
    assert "Optuna and MLflow agree" in capsys.readouterr().out


@pytest.mark.whole
def test_of_several_seeds_the_first_ones_evaluations_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(
        "overrides: [backbone.freeze=all, trainer.batch_size=2, trainer.max_iterations=7, "
        "trainer.val_every=3, trainer.lr=1e-3]\n"
        "space: {head.weight_lr: {low: 1, high: 30}}\n"
        "seeds: [0, 1]\nbudget: {trials: 1}\nobjective: val_loss\n"
    )
    run_sweep([*settings(tmp_path), "sweep=mine"], composed)
    first, second = sorted(
        read_trials(composed(settings(tmp_path)).tracking, "mine"), key=lambda trial: trial.name
    )
    (attempt,) = study_below(tmp_path).attempts()
    kept = [*attempt.intermediate_values.values()]
    assert kept == [point.val_loss for point in first.curve]
    assert kept[-1] != second.curve[-1].val_loss


def test_a_run_that_was_closed_as_its_worker_was_killed_has_its_evaluations(tmp_path: Path) -> None:
    search = ("head.weight_lr=interval(1,30)", "budget.trials=2", "name=mine")
    log = tmp_path / "log"
    worker = start(tmp_path, *search, instant=Instant(log, "recorded", "#0", files=True))
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    sweep(tmp_path, *search, instant=Instant(log))
    assert log.read_text().split() == ["#0", "#1"]
    first = study_below(tmp_path).attempts()[0]
    assert [*first.intermediate_values.values()] == [point.val_auc for point in CURVE]
    assert main(["check", f"tracking.dir={tmp_path / 'mlruns'}"]) == 0
