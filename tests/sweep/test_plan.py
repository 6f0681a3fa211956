"""Plans: which trials, which share a run, and an identity that survives extension."""

from __future__ import annotations

import pytest

from mcalc.compose import compose_config
from mcalc.config import DataConfig
from mcalc.errors import UserError
from mcalc.paper.tables import PAPER_TRIALS
from mcalc.sweep.plan import Plan, make_plans


def plans(*arguments: str, data: str = "data") -> list[Plan]:
    def fingerprint(settings: DataConfig) -> str:
        return f"{data} {settings.phantom.lesions}"

    return make_plans(arguments, compose_config, fingerprint)


def test_the_papers_twenty_rows_are_fourteen_training_runs() -> None:
    alexnet, googlenet = plans("sweep=alexnet,googlenet")
    assert [trial.name for trial in alexnet.trials] == [f"AL{i}" for i in range(1, 11)]
    assert [trial.name for trial in googlenet.trials] == [f"GL{i}" for i in range(1, 11)]
    for plan, backbone in ((alexnet, "alexnet"), (googlenet, "googlenet")):
        assert {trial.config.backbone.name for trial in plan.trials} == {backbone}
        runs = [{trial.name[2:] for trial in run} for run in plan.trajectories()]
        assert len(runs) == 7
        assert {"5", "6", "7", "10"} in runs


def test_each_row_is_the_papers() -> None:
    trials = {t.name: t.config for plan in plans("sweep=alexnet,googlenet") for t in plan.trials}
    rows = [row for network in PAPER_TRIALS.values() for row in network]
    assert len(rows) == 20
    for row in rows:
        config = trials[row.name]
        assert (
            config.stopping.patience,
            config.head.weight_lr,
            config.head.bias_lr,
            config.head.weight_l2,
        ) == (row.patience, row.weight_lr, row.bias_lr, row.weight_l2)


def test_comma_lists_are_a_product() -> None:
    (plan,) = plans("backbone=alexnet,googlenet", "head.weight_lr=1,10,15,20", "seed=3")
    assert len(plan.trials) == 8
    assert len(plan.trajectories()) == 8
    seen = {(t.config.backbone.name, t.config.head.weight_lr) for t in plan.trials}
    assert seen == {(b, w) for b in ("alexnet", "googlenet") for w in (1.0, 10.0, 15.0, 20.0)}
    assert {t.config.seed for t in plan.trials} == {3}
    assert plan.trials[0].name == "backbone=alexnet, head.weight_lr=1"
    assert plan.trials[0].values == {"backbone": "alexnet", "head.weight_lr": "1"}


def test_a_sweep_file_times_a_comma_list() -> None:
    (plan,) = plans("sweep=alexnet", "seed=0,1")
    assert len(plan.trials) == 20
    assert plan.trials[1].name == "AL1, seed=1"
    assert len(plan.trajectories()) == 14


def test_more_values_extend_a_sweep_and_other_settings_are_another() -> None:
    (few,) = plans("head.weight_lr=1,10")
    (more,) = plans("head.weight_lr=1,10,20")
    assert few.sweep == more.sweep
    assert {t.key for t in few.trials} < {t.key for t in more.trials}
    (other,) = plans("head.weight_lr=1,10", "trainer.lr=0.01")
    assert other.sweep != few.sweep
    (elsewhere,) = plans("head.weight_lr=1,10", data="other data")
    assert elsewhere.sweep != few.sweep
    assert not {t.key for t in few.trials} & {t.key for t in elsewhere.trials}
    (moved,) = plans("head.weight_lr=1,10", "data.cache=elsewhere", "trainer.workers=3")
    assert moved.sweep == few.sweep


def test_the_command_line_has_the_last_word_over_what_rows_share() -> None:
    (plan,) = plans("sweep=alexnet", "backbone=squeezenet")
    assert {t.config.backbone.name for t in plan.trials} == {"squeezenet"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed=1"], "-m needs something to vary"),
        (["sweep=alexnot"], "no such sweep"),
        (["head.weight_lr=1,1"], "stands there twice"),
        (["head.weight_lr=1,1.0"], "are the same configuration"),
        (["head.weight_lr=interval(1,2)"], "a product needs values"),
        (["head.weight_lr=1,-1"], "trial 'head.weight_lr=-1'"),
        (["sweep=alexnet", "head.weight_l=1"], "unknown key"),
    ],
)
def test_what_cannot_be_planned_is_said(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        plans(*arguments)
