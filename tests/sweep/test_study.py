"""The Optuna study on a real SQLite file: what is done stays done, what was killed is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from mcalc.compose import compose_config
from mcalc.sweep.plan import Plan, make_plans
from mcalc.sweep.study import SweepStudy, storage_uri


def plan(*arguments: str) -> Plan:
    (made,) = make_plans(arguments, compose_config, lambda _: "data")
    return made


@pytest.fixture
def weights() -> Plan:
    return plan("head.weight_lr=1,10", "backbone=alexnet,googlenet")


def names(plan: Plan, keys: object) -> list[str]:
    return [trial.name for trial in plan.trials if trial.key in keys]  # type: ignore[operator]


def finish_all(study: SweepStudy, plan: Plan) -> None:
    for run in plan.trajectories():
        for key, trial in study.claim(run).items():
            study.finish(trial, 0.5, 0.6, f"run of {key}")


def test_finished_trials_are_skipped_and_more_rows_extend(tmp_path: Path, weights: Plan) -> None:
    finish_all(SweepStudy(weights, tmp_path), weights)
    again = SweepStudy(weights, tmp_path)
    assert again.queue().waiting == []
    assert len(again.queue().finished) == 4
    assert len(again.queue(rerun=True).waiting) == 4
    more = plan("head.weight_lr=1,10,20", "backbone=alexnet,googlenet")
    extended = SweepStudy(more, tmp_path)
    assert [t.values["head.weight_lr"] for t in extended.queue().waiting] == ["20", "20"]
    finish_all(extended, more)
    assert len(extended.study.trials) == 4 + 6


def test_optuna_sees_parameters_and_values(tmp_path: Path, weights: Plan) -> None:
    finish_all(SweepStudy(weights, tmp_path), weights)
    study = optuna.load_study(study_name=weights.sweep, storage=storage_uri(tmp_path))
    assert {t.params["head.weight_lr"] for t in study.trials} == {1.0, 10.0}
    assert {t.params["backbone"] for t in study.trials} == {"alexnet", "googlenet"}
    assert {t.value for t in study.trials} == {0.5}
    assert {t.user_attrs["name"] for t in study.trials} == {t.name for t in weights.trials}


def test_a_failed_trial_waits_again(tmp_path: Path, weights: Plan) -> None:
    study = SweepStudy(weights, tmp_path)
    first = weights.trials[0]
    study.fail(study.claim([first])[first.key], "no memory")
    assert first in SweepStudy(weights, tmp_path).queue().waiting
    assert study.study.trials[0].user_attrs["error"] == "no memory"
    study.finish(study.claim([first])[first.key], 0.5, 0.6, None)
    assert first.key in study.queue().finished
    assert [t.state for t in study.study.trials] == [TrialState.FAIL, TrialState.COMPLETE]


CLAIM_AND = """
import sys, os, time
from pathlib import Path
from mcalc.compose import compose_config
from mcalc.sweep.plan import make_plans
from mcalc.sweep.study import SweepStudy
arguments = ["head.weight_lr=1,10", "backbone=alexnet,googlenet"]
(plan,) = make_plans(arguments, compose_config, lambda _: "data")
SweepStudy(plan, Path(sys.argv[1])).claim(plan.trials[:1])
print("claimed", flush=True)
time.sleep(60)
"""


def test_a_living_process_keeps_its_trial_and_a_killed_one_loses_it(
    tmp_path: Path, weights: Plan
) -> None:
    first = weights.trials[0]
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "claimed\n"
        study = SweepStudy(weights, tmp_path)
        queue = study.queue()
        assert list(queue.taken) == [first.key]
        assert str(owner.pid) in queue.taken[first.key]
        assert first not in queue.waiting
        owner.kill()
    assert first in study.queue().waiting
    study.finish(study.claim([first])[first.key], 0.5, 0.6, None)
    states = [t.state for t in study.study.trials if t.user_attrs["key"] == first.key]
    assert states == [TrialState.FAIL, TrialState.COMPLETE]
