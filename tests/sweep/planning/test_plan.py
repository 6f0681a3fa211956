"""Plans: which trials, which share a run, and an identity that survives extension."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.config import DataConfig
from mcalc.config.compose import compose_config
from mcalc.config.trial import plan_trial
from mcalc.errors import UserError
from mcalc.paper.tables import PAPER_TRIALS
from mcalc.sweep.planning.plan import Plan, make_plans
from mcalc.sweep.planning.search_space import Choices, Interval
from mcalc.sweep.planning.values import override_of
from mcalc.training import resolved


def plans(*arguments: str, data: str = "data") -> list[Plan]:
    def fingerprint(settings: DataConfig) -> str:
        return f"{data} {settings.phantom.lesions}"

    return make_plans(arguments, compose_config, resolved, fingerprint)


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
    assert plan.trials[0].values == {"backbone": "alexnet", "head.weight_lr": 1}


def test_a_sweep_file_times_a_comma_list() -> None:
    (plan,) = plans("sweep=alexnet", "seed=0,1")
    assert len(plan.trials) == 20
    assert plan.trials[1].name == "AL1, seed=1"
    assert len(plan.trajectories()) == 14


def test_a_list_of_the_command_line_replaces_what_a_row_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(
        "overrides: [backbone=alexnet, trainer.lr=0.5]\nrows: {A: {seed: 5, head.weight_lr: 3}}"
    )
    monkeypatch.chdir(tmp_path)
    (plan,) = plans("sweep=mine", "seed=0,1", "trainer.lr=0.25")
    assert [trial.name for trial in plan.trials] == ["A, seed=0", "A, seed=1"]
    assert [trial.config.seed for trial in plan.trials] == [0, 1]
    assert {trial.config.trainer.lr for trial in plan.trials} == {0.25}
    assert {trial.config.head.weight_lr for trial in plan.trials} == {3}


def test_more_values_extend_a_sweep_and_other_settings_are_another() -> None:
    (few,) = plans("head.weight_lr=1,10")
    (more,) = plans("head.weight_lr=1,10,20")
    assert few.sweep == more.sweep == "head.weight_lr"
    assert {t.key for t in few.trials} < {t.key for t in more.trials}
    (other,) = plans("head.weight_lr=1,10", "trainer.lr=0.01")
    assert other.sweep.startswith("head.weight_lr-")
    (moved,) = plans("head.weight_lr=1,10", "data.cache=elsewhere", "trainer.workers=3")
    assert moved.sweep == few.sweep
    assert [t.key for t in moved.trials] == [t.key for t in few.trials]


def test_other_data_are_other_trials_of_the_same_sweep() -> None:
    (few,) = plans("head.weight_lr=1,10")
    (edited,) = plans("head.weight_lr=1,10", data="a crop was exchanged")
    assert edited.sweep == few.sweep
    assert not {t.key for t in few.trials} & {t.key for t in edited.trials}


def test_a_file_keeps_its_name_until_the_command_line_changes_what_it_is() -> None:
    (plain,) = plans("sweep=alexnet")
    (elsewhere,) = plans("sweep=alexnet", "tracking.dir=elsewhere", "retries=3")
    (patient,) = plans("sweep=alexnet", "protocol=patient")
    (named,) = plans("sweep=alexnet", "protocol=patient", "name=mine")
    assert plain.sweep == elsewhere.sweep == "alexnet"
    assert patient.sweep.startswith("alexnet-")
    assert patient.title == "alexnet"
    assert named.sweep == named.title == "mine"


def test_planned_keys_are_those_of_the_composed_config() -> None:
    (plan,) = plans(
        "backbone=alexnet,squeezenet", "head.weight_lr=1,10", "stopping.patience=5,null"
    )
    for trial in plan.trials:
        overrides = [override_of(key, value) for key, value in trial.values.items()]
        config = resolved(compose_config(overrides))
        composed = plan_trial(trial.name, config, plan.fingerprint)
        assert trial.key == composed.key
        assert trial.trajectory == composed.trajectory


def test_hydras_syntax_works_as_users_know_it() -> None:
    def values(argument: str) -> list[object]:
        (plan,) = plans(argument)
        (key,) = plan.trials[0].values
        return [trial.values[key] for trial in plan.trials]

    assert values("head.weight_lr=choice(1,5)") == [1, 5]
    assert values("seed=range(3)") == [0, 1, 2]
    assert values("head.weight_lr=range(0.5,2,0.5)") == [0.5, 1.0, 1.5]
    assert values("backbone=glob(*net)") == ["alexnet", "googlenet", "squeezenet"]
    assert values("backbone=glob(*,exclude=goog*)") == ["alexnet", "alexnet_bvlc", "squeezenet"]
    assert values("head.weight_lr=sort(10,1)") == [1, 10]
    names = [plan.title for plan in plans("sweep=glob(*net)")]
    assert names == ["alexnet", "googlenet"]


def test_an_interval_on_the_command_line_is_a_search() -> None:
    (plan,) = plans("head.weight_lr=tag(log,interval(1,30))", "backbone=alexnet,squeezenet",
                    "budget.trials=4")  # fmt: skip
    assert plan.search is not None
    assert plan.search.space == {
        "head.weight_lr": Interval(1, 30, log=True),
        "backbone": Choices(("alexnet", "squeezenet")),
    }
    assert plan.search.trials == 4


def test_seeds_multiply_rows_and_do_not_break_sharing() -> None:
    (plan,) = plans("sweep=seeds")
    assert len(plan.trials) == 100
    assert len(plan.trajectories()) == 14 * 5
    assert plan.trials[0].name == "AL1, seed=0"
    (factorial,) = plans("sweep=factorial")
    assert len(factorial.trials) == 360
    assert len(factorial.trajectories()) == 72


def test_the_command_line_has_the_last_word_over_what_rows_share() -> None:
    (plan,) = plans("sweep=alexnet", "backbone=squeezenet")
    assert {t.config.backbone.name for t in plan.trials} == {"squeezenet"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed=1"], "-m needs something to vary"),
        (["sweep=alexnot"], "no such sweep"),
        (["head.weight_lr=1,1"], "is given twice"),
        (["head.weight_lr=1,1.0"], "are the same configuration"),
        (["sweep=alexnet", "seed=interval(1,2)"], "an interval is searched"),
        (["head.weight_lr=interval(1,2)"], "has no end"),
        (["sweep=search", "seed=0,1"], "is a search"),
        (["sweep=alexnet,googlenet", "name=x"], "a name is one sweep's"),
        (["backbone=glob(nothing*)"], "matches nothing"),
        (["head.weight_lr=glob(*)"], "chooses files of a group"),
        (["sweep=search", "budget.trials=0"], "budget.trials=0 is out of range"),
        (["head.weight_lr=1,-1"], "head.weight_lr=-1.0 is out of range"),
        (["head.weight_lr=1,ten"], "head.weight_lr=ten is not understood: expected a number"),
        (["sweep=alexnet", "head.weight_l=1"], "unknown key"),
        (["seed=range(0,1000000)", "head.weight_lr=range(0,1000)"], "1,000,000,000 trials"),
        (["seed=range(0,1000000000)"], "1,000,000,000 values"),
        (["seed=shuffle(range(0,1000000000))"], "1,000,000,000 values"),
        (["backbone=range(0,1000000000)"], "1,000,000,000 values"),
        (["sweep=range(0,1000000000)"], "1,000,000,000 values"),
        (["trainer.lr=range(0,1,1e-30)"], r"about 10\^30 values"),
        (["trainer.lr=range(0,1,0)"], "a step that is not 0"),
        (["trainer.lr=range(0,inf)"], "of numbers"),
        (["sweep=alexnet", "seed=range(0,100001)"], "1,000,010 trials"),
        (["seed=" + "9" * 5000], "is not understood"),
        (["metrics=" + "[" * 5000], "more than 20 brackets"),
        (["seed=interval(0,1e300)", "budget.trials=2"], "at most 2\\^53"),
        (["trainer.lr=interval(1,1e400)", "budget.trials=2"], "is not a number"),
        (["sweep=search", f"budget.trials={10**400}"], "out of range"),
    ],
)
def test_what_cannot_be_planned_is_said(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        plans(*arguments)


def test_a_value_that_every_row_needs_may_stand_in_the_rows() -> None:
    (plan,) = plans("data.region=full", "data.unit=patient,breast")
    units = [trial.config.data.unit for trial in plan.trials]
    assert units == ["patient", "breast"]
    (other,) = plans("data.region=full", "data.unit=breast,patient,image")
    assert other.sweep == plan.sweep, "which row is the first makes no other sweep"
    (faster,) = plans("data.region=full", "data.unit=breast,patient", "trainer.lr=0.1")
    assert faster.sweep != plan.sweep
    with pytest.raises(UserError, match="lesions cannot be told apart"):
        plans("data.region=full", "seed=1,2")


def test_a_folder_of_weights_may_be_moved(tmp_path: Path) -> None:
    def planned(folder: Path) -> Plan:
        (plan,) = plans("sweep=paper_matlab", "trainer.l2=2e-4", f"backbone.weights={folder}")
        return plan

    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    for name in ("alexnet_bvlc.npz", "googlenet_bvlc.onnx"):
        (before / name).write_bytes(name.encode())
    first = planned(before)
    assert first.sweep.startswith("paper_matlab-")
    before.rename(after)
    moved = planned(after)
    assert moved.sweep == first.sweep
    assert [trial.key for trial in moved.trials] == [trial.key for trial in first.trials]
    # other numbers are other trials of the same sweep
    (after / "googlenet_bvlc.onnx").write_bytes(b"another")
    changed = planned(after)
    assert changed.sweep == first.sweep
    same = [one.key == two.key for one, two in zip(changed.trials, first.trials, strict=True)]
    assert same == [True] * 10 + [False] * 10
    # a word is no folder, whatever lies beside
    (random,) = plans("sweep=paper_matlab", "trainer.l2=2e-4", "backbone.weights=none")
    assert random.sweep != first.sweep
