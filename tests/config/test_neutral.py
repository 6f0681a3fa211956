"""A new setting at its neutral value leaves every key, sweep, folder and cache entry as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from mcalc.config import Config, DataConfig
from mcalc.config.compose import compose_config
from mcalc.config.identity import differences, keys_of, numeric_settings
from mcalc.config.rules import setting
from mcalc.data.images.file_hashes import LesionDigests
from mcalc.data.images.prepare import prepare_images
from mcalc.data.phantom.source import phantom_root
from mcalc.data.sources.registry import open_source
from mcalc.errors import UserError
from mcalc.sweep.planning.plan import make_plans
from mcalc.sweep.store.storage import Storage
from mcalc.sweep.store.study import SweepStudy
from mcalc.training import resolved

SECTIONS = [e.name for e in fields(Config) if is_dataclass(getattr(Config(), e.name))]
NUMERIC = ["", "backbone", "head", "data", "data.clahe", "protocol", "augment", "trainer",
           "stopping"]  # fmt: skip
NOT_NUMERIC = ["data.phantom", "tracking", "budget"]


def with_toy(config: Any, section: str, amount: float) -> Any:
    """The config with a field `toy`, of neutral value 0, in one of its sections."""
    name, _, rest = section.partition(".")
    if name:
        return replace(config, **{name: with_toy(getattr(config, name), rest, amount)})
    values = {entry.name: getattr(config, entry.name) for entry in fields(config)}
    toy = ("toy", float, setting(0.0, low=0, neutral=0.0))
    return make_dataclass("Toy", [toy], bases=(type(config),))(**values, toy=amount)


def keys(config: Config) -> tuple[str, str]:
    """Identity of the config's trial and of its training run, on the same data each time."""
    return keys_of(numeric_settings(config), "data")


def test_the_sections_tried_here_are_all_there_are() -> None:
    tried = {section.split(".")[0] for section in (*NUMERIC, *NOT_NUMERIC)} - {""}
    assert tried == set(SECTIONS) - {"job"}


@pytest.mark.parametrize("section", NUMERIC)
def test_keys_of_trials(section: str) -> None:
    config = compose_config()
    trial, trajectory = keys(config)
    assert keys(with_toy(config, section, 0.0)) == (trial, trajectory)
    other_trial, other_trajectory = keys(with_toy(config, section, 0.5))
    assert other_trial != trial
    assert other_trajectory != trajectory


@pytest.mark.parametrize("section", NOT_NUMERIC)
def test_what_is_not_numeric_is_no_part_of_a_key_at_any_value(section: str) -> None:
    config = compose_config()
    assert keys(with_toy(config, section, 0.5)) == keys(config)


def plan_with(section: str, amount: float, *arguments: str) -> Any:
    """The plan of a sweep whose configs all have the toy field, but for those of its file alone."""

    def compose(overrides: Sequence[str]) -> Config:
        given = amount if "seed=3" in overrides else 0.0
        config: Config = with_toy(compose_config(overrides), section, given)
        return config

    (plan,) = make_plans([*arguments, "seed=3"], compose, resolved, lambda _: "data")
    return plan


@pytest.mark.parametrize("section", [*NUMERIC, "data.phantom"])
def test_a_sweeps_identity_and_shared_settings(section: str) -> None:
    (before,) = make_plans(["sweep=alexnet", "seed=3"], compose_config, resolved, lambda _: "data")
    same = plan_with(section, 0.0, "sweep=alexnet")
    assert (same.sweep, same.shared) == (before.sweep, before.shared)
    assert [trial.key for trial in same.trials] == [trial.key for trial in before.trials]
    other = plan_with(section, 0.5, "sweep=alexnet")
    assert other.shared != before.shared
    if section != "data.phantom":  # the data's fingerprint, fixed here, tells phantoms apart
        assert other.sweep != before.sweep


def test_the_phantoms_folder() -> None:
    data = DataConfig()
    assert phantom_root(with_toy(data, "phantom", 0.0)) == phantom_root(data)
    assert phantom_root(with_toy(data, "phantom", 0.5)) != phantom_root(data)


@pytest.mark.slow
def test_the_prepared_cache(tmp_path: Path) -> None:
    data = DataConfig(cache=str(tmp_path))
    data.phantom = replace(data.phantom, lesions=8)
    lesions = open_source(data).lesions

    def entries_after(settings: DataConfig) -> int:
        prepare_images(lesions, [LesionDigests(crop=lesion.id) for lesion in lesions], 32, settings,
                tmp_path)  # fmt: skip
        return len([found for found in (tmp_path / "prepared").iterdir() if found.is_dir()])

    assert entries_after(data) == 1
    assert entries_after(with_toy(data, "clahe", 0.0)) == 1
    assert entries_after(with_toy(data, "clahe", 0.5)) == 2


Recorded = Callable[..., None]


@pytest.fixture
def study(tmp_path: Path) -> Recorded:
    """Opens the sweep `mine` with these arguments, as a command that runs it does."""
    storage = Storage(f"sqlite:///{tmp_path / 'optuna.db'}", 1.0)

    def open_with(*arguments: str) -> None:
        (plan,) = make_plans(["name=mine", *arguments], compose_config, resolved, lambda _: "data")
        SweepStudy.create(plan, storage)

    return open_with


def test_a_sweep_recorded_before_the_setting_existed_is_that_of_its_neutral_value(
    study: Recorded, tmp_path: Path
) -> None:
    study("seed=0,1")
    shared = optuna.load_study(
        study_name="mine", storage=f"sqlite:///{tmp_path / 'optuna.db'}"
    ).user_attrs["mcalc:shared"]
    assert "backbone.lr_decay" not in shared, "as an earlier version wrote it"
    study("seed=0,1", "backbone.lr_decay=1")
    with pytest.raises(UserError, match=r"backbone\.lr_decay: 1\.0 before, 0\.5 now"):
        study("seed=0,1", "backbone.lr_decay=0.5")


def test_leaving_a_setting_out_again_is_a_difference_too(study: Recorded) -> None:
    study("seed=0,1", "backbone.lr_decay=0.5")
    with pytest.raises(UserError, match=r"backbone\.lr_decay: 0\.5 before, 1\.0 now"):
        study("seed=0,1")


def test_a_setting_that_varies_is_not_compared_with_its_neutral_value(study: Recorded) -> None:
    study("backbone.lr_decay=0.5,1")
    study("backbone.lr_decay=0.5,0.25")


def test_differences_know_neutral_values() -> None:
    assert differences({}, {"backbone.freeze": "2"}) == {"backbone.freeze": ("0", "2")}
    assert differences({"backbone.freeze": "2"}, {}) == {"backbone.freeze": ("2", "0")}
    assert differences({}, {"backbone.freeze": "2"}, {"backbone"}) == {}
    assert differences({}, {"head.weight_lr": 2.0}) == {}, "without a neutral value: not recorded"


@pytest.mark.parametrize(
    ("values", "neutral"), [("{}", True), ("{metrics: [a]}", False), ("{metrics: []}", True)]
)
def test_rows_with_lists_and_neutral_values_are_keyed_as_composed(
    values: str, neutral: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    row = values.replace("}", ", seed: 1}") if values != "{}" else "{seed: 1}"
    (tmp_path / "sweeps" / "mine.yaml").write_text(f"rows:\n  A: {row}\n")
    (plan,) = make_plans(["sweep=mine"], compose_config, resolved, lambda _: "data")
    (trial,) = plan.trials
    assert trial.key == keys(trial.config)[0]
    assert (trial.key == keys(resolved(compose_config(["seed=1"])))[0]) == neutral
    assert json.dumps(trial.values)


def test_a_neutral_value_in_a_row_is_no_part_of_its_key() -> None:
    (plan,) = make_plans(["backbone.lr_decay=0.5,1"], compose_config, resolved, lambda _: "data")
    half, one = plan.trials
    assert one.key == keys(resolved(compose_config()))[0]
    assert half.key == keys(resolved(compose_config(["backbone.lr_decay=0.5"])))[0]
    assert "backbone.lr_decay" not in numeric_settings(one.config)


def test_a_field_of_its_own_kind() -> None:
    """`field` without rules states no neutral value."""
    toy = make_dataclass("Toy", [("toy", int, field(default=0))], bases=(Config,))
    assert keys(toy())[0] != keys(Config())[0]


def test_plug_in_packages_and_their_versions_are_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(version: str) -> None:
        info = tmp_path / f"{version}" / f"toy_nets-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: toy-nets\nVersion: {version}\n"
        )
        groups = (("backbones", "toynet"), ("sources", "toysource"), ("metrics", "toymetric"))
        (info / "entry_points.txt").write_text(
            "\n".join(f"[mcalc.{kind}]\n{name} = toy_nets:{name}" for kind, name in groups)
        )
        monkeypatch.syspath_prepend(str(info.parent))
        installed.cache_clear()

    from mcalc.plugins import installed

    try:
        built_in = keys(compose_config())
        for given in ("backbone.name=toynet", "data.source=toysource", "metrics=[toymetric]"):
            install(f"1.{len(given)}")
            config = compose_config([given])
            assert keys(compose_config()) == built_in
            assert numeric_settings(config)["plugins"] == {"toy-nets": f"1.{len(given)}"}
            before = keys(config)[0]
            install(f"2.{len(given)}")
            assert keys(config)[0] != before
    finally:
        installed.cache_clear()
