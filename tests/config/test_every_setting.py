"""Settings that change numbers are in a trial's key, and the others are not: all of them."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from mcalc.config import Config, MissingWeights, identity, plan_trial
from mcalc.config.assign import read, updated
from mcalc.config.paths import entries

NOT_NUMERIC = {
    # names, places and what runs, not what comes out
    "name", "sweep", "dry_run", "rerun", "from_run", "retries", "trials_per_gpu", "storage",
    "storage_wait", "job", "budget.trials", "budget.hours", "tracking.dir", "tracking.experiment",
    "tracking.uri", "tracking.keep_models", "tracking.checkpoint_minutes", "data.cache",
    "trainer.workers",
    # what chooses the data: their content is in the key, as a fingerprint
    "data.source", "data.root", "data.csv_dir", "data.csv_split", "data.labels",
    "data.min_completeness", "data.phantom.lesions", "data.phantom.seed",
    "data.phantom.difficulty", "data.phantom.defects", "data.phantom.full_height",
}  # fmt: skip
"""Pinned: a setting that moves into or out of this list changes the keys of all recorded trials."""
SETTINGS = [entry.key for entry in entries().values() if not entry.is_section]

# A value beside the default, where the default's neighbour is not one.
OTHER: dict[str, Any] = {
    "backbone.name": "googlenet",
    "backbone.weights": "none",
    "backbone.freeze": "2",
    "backbone.lr_decay": 0.5,
    "data.source": "folder",
    "metrics": ["brier"],
    "protocol.fold": 2,
    "protocol.folds": 7,
    "protocol.held_out": 0.4,
    "protocol.validation": 0.2,
    "trainer.momentum": 0.5,
}


def config(setting: str = "") -> Config:
    """A protocol and a network under which a setting has a meaning."""
    hardware = {
        "trainer.precision": "fp32", "trainer.channels_last": False, "augment.place": "cpu",
    }  # fmt: skip
    frozen = {"backbone.freeze": "0" if setting == "augment.place" else "all"}
    base = updated(Config(), {"protocol.name": "cv", **hardware, **frozen})
    return replace(base, backbone=replace(base.backbone, on_missing_weights=MissingWeights.random))


def other_value(key: str) -> Any:
    """A value of the setting that differs from the one in `config`."""
    if key in OTHER:
        return OTHER[key]
    value, kinds = read(config(), key), entries()[key].kinds
    if isinstance(value, StrEnum):
        return next(each.value for each in type(value) if each is not value)
    if isinstance(value, bool):
        return not value
    if value is None:
        return {int: 3, float: 1.5, str: "somewhere"}[kinds[0]]
    if isinstance(value, str):
        return f"{value}-other"
    return value + 1 if isinstance(value, int) else value * 0.75 + 0.01


def key(settings: Config, data: str = "data") -> str:
    return plan_trial("x", settings, data).key


def test_what_is_not_numeric_is_pinned() -> None:
    assert {name for name in SETTINGS if not entries()[name].numeric} == NOT_NUMERIC


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_in_the_key_where_it_changes_numbers(setting: str) -> None:
    base = config(setting)
    changed = updated(base, {setting: other_value(setting)})
    assert read(changed, setting) != read(base, setting)
    assert (key(changed) == key(base)) == (setting in NOT_NUMERIC)


@pytest.mark.parametrize("setting", sorted(set(SETTINGS) - NOT_NUMERIC - {"stopping.patience"}))
def test_all_but_patience_makes_another_training_run(setting: str) -> None:
    base = config(setting)
    changed = updated(base, {setting: other_value(setting)})
    trials = [plan_trial("x", each, "data") for each in (base, changed)]
    assert trials[0].trajectory != trials[1].trajectory


def test_copies_of_frozen_features_count_with_a_frozen_backbone_alone() -> None:
    for stages in ("0", "2"):
        base = updated(config(), {"backbone.freeze": stages})
        assert key(base) == key(updated(base, {"augment.frozen_copies": 9}))


@pytest.mark.parametrize(
    "given",
    [
        {"augment.enabled": False},
        {"backbone.freeze": "all"},
        {"protocol.name": "paper_augment_first"},
    ],
)
def test_where_images_are_augmented_counts_only_where_they_are_in_each_epoch(
    given: dict[str, Any],
) -> None:
    base = config("augment.place")
    there = updated(base, {"augment.place": "device"})
    assert key(there) != key(base)
    assert key(updated(there, given)) == key(updated(base, given))


def test_patience_stops_another_trial_on_the_same_run() -> None:
    changed = updated(config(), {"stopping.patience": 7})
    one, other = (plan_trial("x", each, "data") for each in (config(), changed))
    assert one.key != other.key
    assert one.trajectory == other.trajectory


def test_another_version_of_the_numerics_makes_every_trial_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = key(config())
    monkeypatch.setattr(identity, "NUMERICS_VERSION", identity.NUMERICS_VERSION + 1)
    assert key(config()) != before


@pytest.mark.parametrize("setting", ["protocol.split_file", "backbone.weights"])
def test_a_file_counts_by_its_content(tmp_path: Path, setting: str) -> None:
    def of(name: str) -> str:
        return key(updated(config(), {setting: str(tmp_path / name)}))

    for name, content in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(content)
    assert of("a") == of("b") != of("c")
    before = of("a")
    (tmp_path / "a").write_text("another content")
    assert of("a") != before
    assert of("a") != key(config())
