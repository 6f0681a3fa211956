"""Sweep files: what they give, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import bounded
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
        (
            "name: other\nrows: {A: {seed: 1}}",
            "`name` is 'other', but a sweep is known by its file",
        ),
        ("name: [mine]\nrows: {A: {seed: 1}}", "a sweep is known by its file's name: remove that"),
        ("space: {}", "at least one key"),
        ("space: {head.weight_lr: {low: 3}}", "low and high"),
        ("space: {head.weight_lr: {low: 3, high: 1}}", "is empty: low 3 must be below high 1"),
        ("space: {head.weight_lr: {low: 0, high: 1, log: true}}", "log needs low above 0"),
        ("space: {head.weight_lr: {low: 1, high: 2, log: yes}}", "log is 'yes': expected true or"),
        ("overrides: [seed=1, seed=2]\nrows: {A: {head.weight_lr: 1}}", "give 'seed' twice: keep"),
        ("space: {head.weight_lr: {low: x, high: 1}}", "'x' is not a number"),
        ("space: {head.wait: [1]}", "unknown key 'head.wait'"),
        ("space: {head.weight_lr: [1, ten]}", "expected a number"),
        ("space: 5\nbudget: {trials: 1}", "`space` must name at least one key"),
        ("space: {stopping.patience: {low: 1, high: 9, step: 0.5}}", "step 0.5: expected a whole"),
        ("space: {trainer.lr: {low: 1, high: 9, step: 0}}", "step 0: expected a number above 0"),
        ("rows: {A: {seed: 2020-13-45}}", "row A: seed=2020-13-45 is not understood"),
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


@pytest.mark.parametrize("name", ["mine", "2020", "010"])
def test_a_file_may_say_its_own_name(own: Path, name: str) -> None:
    (own / f"{name}.yaml").write_text(f"name: {name}\nrows: {{A: {{seed: 1}}}}")
    assert load(name).name == name


def test_an_unknown_sweep_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"sweep=alexnot: no such sweep; did you mean 'alexnet'"):
        load("alexnot")


def test_a_file_of_another_ending_is_not_said_to_be_absent(own: Path) -> None:
    (own / "mine.yml").write_text("grid: {head.weight_lr: [1, 2]}")
    with pytest.raises(UserError, match=r"mine\.yml is not read: rename it to mine\.yaml"):
        load("mine")


CASES = Path(__file__).parent / "cases"


def test_files_that_once_hung_or_lost_content_are_refused_at_once(own: Path) -> None:
    texts = {file.stem: file.read_text() for file in sorted(CASES.glob("*.yaml"))}
    assert len(texts) == 11
    space = "space: {head.weight_lr: {low: 1, high: 2}}\n"
    texts |= {
        "billion": "grid:\n" + "".join(
            f"  {key}: [{', '.join(map(str, range(1, 1001)))}]\n"
            for key in ("seed", "head.weight_lr", "head.bias_lr")
        ),
        "seeds": f"grid: {{head.weight_lr: {list(range(2000))}}}\nseeds: {list(range(1000))}",
        "hours .inf": space + "budget: {hours: .inf}",
        "hours true": space + "budget: {hours: true}",
        "trials true": space + "budget: {trials: true}",
        "trials 10**30": space + f"budget: {{trials: {10**30}}}",
        "many digits": space + f"budget: {{trials: {'9' * 9000}}}",
        "low true": "space: {head.weight_lr: {low: true, high: 2}}",
        "step true": "space: {head.weight_lr: {low: 1, high: 2, step: true}}",
        "step .nan": "space: {head.weight_lr: {low: 1, high: 2, step: .nan}}",
        "step tiny": "space: {head.weight_lr: {low: 1, high: 2, step: 1e-9}}",
        "step least": "space: {head.weight_lr: {low: 1, high: 2, step: 5e-324}}",
        "high 10**300": f"space: {{trainer.batch_size: {{low: 1, high: {10**300}}}}}",
        "high 10**400": f"space: {{trainer.lr: {{low: 1, high: {10**400}}}}}",
        "low out of range": "space: {head.weight_lr: {low: -5, high: 3}}",
        "group as a number": "space: {backbone: {low: 1, high: 2}}",
        "group unknown": "space: {backbone: [alexnot]}",
        "sampler option": space
        + f"sampler: {{_target_: optuna.samplers.TPESampler, n_startup_trials: {10**30}}}",
        "overrides": "rows: {A: {seed: 1}}\noverrides: ['seed=range(0,10000000000)']",
        "overrides deep": "rows: {A: {seed: 1}}\noverrides: ['metrics=" + "[" * 900 + "']",
        "value deep": "rows: {A: {seed: {a: 1}}}",
        "row of two lines": 'rows: {"a\\nb": {seed: 1}}',
        "1 and 1.0": "space: {head.weight_lr: [1, 1.0]}",
        "yes": "rows: {A: {augment.enabled: yes}}",
        "12:30": "rows: {A: {seed: 12:30}}",
    }  # fmt: skip
    for name, text in texts.items():
        (own / f"{name}.yaml").write_text(text)
    said = bounded.refusals(load, {name: (name,) for name in texts}, own.parent)
    assert all(f"sweeps/{name}.yaml" in sentence for name, sentence in said.items())
    assert "key 'A' is given in line 2 and again in line 4" in said["dup"]
    assert "key 'head.weight_lr' is given in line 2 and again in line 2" in said["dupkey"]
    assert "1,000,000,000 trials" in said["billion"]
    assert "2,000,000 trials" in said["seeds"]
    assert "12,117,361 trials" in said["sweephand_MEM_1"]
    assert "step 1e-09 gives 1e+09 values" in said["step tiny"]


def test_names_of_rows_are_as_written(own: Path) -> None:
    (own / "mine.yaml").write_text(
        "rows:\n"
        + "".join(f"  {name}: {{seed: 1}}\n" for name in ("yes", "010", "10", "1e-3", "~"))
    )
    assert list(load("mine").rows) == ["yes", "010", "10", "1e-3", "~"]


def test_a_value_is_text_or_a_number_as_its_key_is(own: Path) -> None:
    (own / "mine.yaml").write_text(
        "rows:\n"
        "  A: {seed: 010, name: 010, trainer.lr: 1e-3, backbone.weights: 1.50}\n"
        "  B: {seed: 1_000, name: 2026-01-01, trainer.lr: '1e-3', backbone: 010}\n"
    )
    rows = load("mine").rows
    assert rows["A"] == {"seed": 10, "name": "010", "trainer.lr": 0.001, "backbone.weights": "1.50"}
    assert rows["B"] == {
        "seed": 1000,
        "name": "2026-01-01",
        "trainer.lr": "1e-3",
        "backbone": "010",
    }
    (own / "mine.yaml").write_text("grid: {trainer.lr: [1e-3, 1.0e-5], name: [010, 10]}")
    assert list(load("mine").rows) == [
        "trainer.lr=0.001, name=010", "trainer.lr=0.001, name=10",
        "trainer.lr=1e-05, name=010", "trainer.lr=1e-05, name=10",
    ]  # fmt: skip
    (own / "mine.yaml").write_text(
        "space: {trainer.lr: {low: 1e-5, high: 1e-3}}\nsampler_seed: 010"
    )
    search = load("mine").search
    assert search is not None
    assert search.space == {"trainer.lr": Interval(1e-5, 1e-3)}
    assert search.seed == 10
