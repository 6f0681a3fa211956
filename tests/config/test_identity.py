"""A trial's key changes with its numbers and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcalc.config.assign import updated
from mcalc.config.compose import compose_config
from mcalc.config.trial import plan_trial

BASE = [
    "backbone=squeezenet",
    "backbone.weights=none",
    "trainer.precision=fp32",
    "trainer.channels_last=false",
    "augment.place=cpu",
]


def key(*overrides: str, fingerprint: str = "data") -> str:
    return plan_trial("a trial", compose_config([*BASE, *overrides]), fingerprint).key


@pytest.mark.parametrize(
    "override",
    [
        "name=other",
        "tracking.dir=elsewhere",
        "tracking.keep_models=none",
        "data.cache=elsewhere",
        "trainer.workers=2",
        "rerun=true",
        "retries=5",
        "storage=sqlite:///elsewhere.db",
        "tracking.checkpoint_minutes=1",
        "budget.trials=3",
        "data.min_completeness=0.5",
    ],
)
def test_places_and_names_leave_the_key(override: str) -> None:
    assert key(override) == key()


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "head.weight_lr=15",
        "head.bias_lr=30",
        "head.weight_l2=5",
        "stopping.patience=7",
        "stopping.network=best",
        "trainer.lr=2e-4",
        "trainer.val_every=7",
        "trainer.threads=1",
        "trainer.precision=bf16",
        "trainer.channels_last=true",
        "augment=none",
        "augment.noise=0.5",
        "augment.strength=2",
        "augment.place=device",
        "protocol=patient",
        "protocol.seed=3",
        "data.clahe.clip_limit=2",
        "backbone=alexnet",
    ],
)
def test_what_changes_numbers_changes_the_key(override: str) -> None:
    assert key(override) != key()


def test_the_data_are_in_the_key() -> None:
    assert key(fingerprint="other data") != key()


def test_only_patience_is_left_out_of_the_trajectory() -> None:
    def trajectory(*overrides: str) -> str:
        return plan_trial("a trial", compose_config([*BASE, *overrides]), "data").trajectory

    assert trajectory("stopping.patience=5") == trajectory("stopping.patience=40")
    assert trajectory("stopping.network=best") != trajectory()
    assert trajectory("head.weight_lr=3") != trajectory()


def test_a_weights_file_counts_by_content(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"one"), ("b.pth", b"one"), ("c.pth", b"two")):
        (tmp_path / name).write_bytes(content)
    keys = [key(f"backbone.weights={tmp_path / name}.pth") for name in "abc"]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("setting", ["backbone.weights", "protocol.split_file"])
def test_a_file_below_home_counts_by_content(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = []
    for content in (b"one", b"two"):
        (tmp_path / "file.pth").write_bytes(content)
        keys.append(key(f"{setting}='~/file.pth'"))
        assert keys[-1] == key(f"{setting}={tmp_path / 'file.pth'}")
        # as a row of a sweep sets it
        config = updated(compose_config(BASE), {setting: "~/file.pth"})
        assert plan_trial("a trial", config, "data").key == keys[-1]
    assert keys[0] != keys[1]
