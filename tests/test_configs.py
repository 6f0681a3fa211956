"""Every shipped config and sweep composes, and says what the schema knows."""

from __future__ import annotations

import pytest

from mcalc.compose import CONF_DIR, GROUPS, choices, compose_config
from mcalc.config import Config, flatten
from mcalc.models.backbones import BACKBONES
from mcalc.sweep.files import available, load

CHOICES = [f"{group}={choice}" for group in GROUPS for choice in choices(group)]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_composes(choice: str) -> None:
    root = ["data.root=somewhere"] if choice == "data=cbis_ddsm" else []
    config = compose_config([choice, *root])
    assert isinstance(config, Config)


def test_every_folder_of_conf_is_a_group() -> None:
    assert {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()} == set(GROUPS)


def test_every_backbone_has_a_config_of_its_name_and_the_other_way_round() -> None:
    assert set(choices("backbone")) == set(BACKBONES)
    for name in choices("backbone"):
        assert compose_config([f"backbone={name}"]).backbone.name == name


@pytest.mark.parametrize("name", sorted(available()))
def test_every_sweep_file_composes_row_by_row(name: str) -> None:
    file = load(name)
    assert file.name == name
    assert file.description
    for row in file.rows.values():
        compose_config([*file.overrides, *row])


def test_the_default_trial_is_the_dataclasses_default_or_says_otherwise_in_yaml() -> None:
    composed, plain = flatten(compose_config()), flatten(Config())
    assert {key for key in plain if composed[key] != plain[key]} == set()
