"""Sweep files: what they give, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.errors import UserError
from mcalc.sweep.planning.search_space import Choices, Interval
from mcalc.sweep.planning.sweep_file import load


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    return tmp_path / "sweeps"


def test_a_user_adds_a_sweep_by_adding_a_file(own: Path) -> None:
    (own / "mine.yaml").write_text(
        "description: two seeds\noverrides: [backbone=squeezenet]\n"
        "rows:\n  A: {seed: 1}\n  B: {seed: 2, name: 'it''s', stopping.patience: null}\n"
    )
    file = load("mine")
    assert file.overrides == ("backbone=squeezenet",)
    assert file.rows == {
        "A": {"seed": 1},
        "B": {"seed": 2, "name": "it's", "stopping.patience": None},
    }


def test_a_grid_is_every_combination(own: Path) -> None:
    (own / "mine.yaml").write_text(
        "grid:\n  head.weight_lr: [1, 10]\n  backbone: [alexnet, squeezenet]\nseeds: [3, 4]\n"
    )
    file = load("mine")
    assert list(file.rows) == [
        "head.weight_lr=1, backbone=alexnet",
        "head.weight_lr=1, backbone=squeezenet",
        "head.weight_lr=10, backbone=alexnet",
        "head.weight_lr=10, backbone=squeezenet",
    ]
    assert file.seeds == (3, 4)


def test_a_space_is_searched(own: Path) -> None:
    (own / "mine.yaml").write_text(
        "space:\n  head.weight_lr: {low: 1, high: 30, log: true}\n  backbone: [alexnet]\n"
        "sampler: random\npruner: median\nobjective: val_loss\nbudget: {trials: 5, hours: 0.5}\n"
    )
    search = load("mine").search
    assert search is not None
    assert search.space == {
        "head.weight_lr": Interval(1, 30, log=True),
        "backbone": Choices(("alexnet",)),
    }
    assert (search.sampler, search.pruner, search.objective) == ("random", "median", "val_loss")
    assert (search.trials, search.hours) == (5, 0.5)


SPACE = "space: {head.weight_lr: {low: 1, high: 2}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows: {A: {sede: 1}}", "row A sets an unknown key 'sede'; did you mean 'seed'?"),
        ("rows: {}", "must name at least one trial"),
        ("description: none", "expected one"),
        ("rows: {A: {seed: 1}}\ngrid: {seed: [1]}", "has rows and grid"),
        ("rowz: {A: {seed: 1}}", "unknown key 'rowz'; did you mean 'rows'?"),
        ("rows: {A: 3}", "row A must be a mapping"),
        ("rows: [A", "is not YAML"),
        ("just text", "must be a mapping"),
        ("overrides: backbone=alexnet\nrows: {A: {seed: 1}}", "must be a list of key=value"),
        ("grid: {}", "at least one key"),
        ("grid: {seed: []}", "the grid is empty: seed"),
        ("grid: {seed: [1, 1]}", "seed has a value twice"),
        ("grid: {sede: [1]}", "did you mean 'seed'"),
        ("rows: {A: {seed: 1}}\nseeds: 3", "`seeds` must be a list"),
        ("rows: {A: {head.bias_lr: 1}}\nseeds: [1, 1]", "different whole numbers"),
        ("rows: {A: {seed: 1}}\nsampler: tpe", "belongs to a search"),
        ("space: {}", "at least one key"),
        ("space: {head.weight_lr: {low: 3}}", "low and high"),
        ("space: {head.weight_lr: {low: 3, high: 1}}", "is empty: low 3 must be below high 1"),
        ("space: {head.weight_lr: {low: 0, high: 1, log: true}}", "log needs low above 0"),
        ("space: {head.weight_lr: {low: x, high: 1}}", "'x' is not a number"),
        ("space: {head.wait: [1]}", "unknown key 'head.wait'"),
        ("space: {head.weight_lr: [1, ten]}", "expected a number"),
        ("space: 5\nbudget: {trials: 1}", "`space` must name at least one key"),
        ("space: {stopping.patience: {low: 1, high: 9, step: 0.5}}", "step 0.5: expected a whole"),
        ("space: {trainer.lr: {low: 1, high: 9, step: 0}}", "step 0: expected a number above 0"),
        ("rows: {A: {seed: 2020-13-45}}", "is not YAML"),
        (SPACE + "\nsampler_seed: 99999999999", "expected a whole number from 0 to 2^32"),
        (SPACE + "\nsampler: tpa", "sampler 'tpa' is unknown; did you mean 'tpe'"),
        (SPACE + "\npruner: hyperbank", "did you mean 'hyperband'"),
        (SPACE + "\nobjective: accuracy", "objective 'accuracy' is unknown"),
        (SPACE + "\nbudget: {trials: 0}", "a budget of 0 trials"),
        (SPACE + "\nbudget: {hours: 0}", "a budget of 0 hours"),
        (SPACE + "\nbudget: 3", "`budget` must be a mapping"),
        ("space: {backbone: [alexnet]}\nsampler: cmaes", "cmaes draws numbers only"),
    ],
)
def test_a_wrong_file_is_one_clear_sentence(own: Path, text: str, said: str) -> None:
    (own / "mine.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        load("mine")
    assert "sweeps/mine.yaml" in str(raised.value)
    assert said in str(raised.value)


def test_an_unknown_sweep_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"sweep=alexnot: no such sweep; did you mean 'alexnet'"):
        load("alexnot")
