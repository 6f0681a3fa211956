"""Every shipped config and sweep composes, and says what the schema knows."""

from __future__ import annotations

import pytest

from mcalc.config import Config
from mcalc.config.assign import updated
from mcalc.config.compose import CONF_DIR, GROUPS, choices, compose_config
from mcalc.config.paths import flatten
from mcalc.models.backbones import BACKBONES
from mcalc.sweep.planning.plan import make_plans
from mcalc.sweep.planning.search_space import Choices
from mcalc.sweep.planning.sweep_file import available, load
from mcalc.training import resolved

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
def test_every_sweep_file_is_planned_whole(name: str) -> None:
    file = load(name)
    assert file.name == name
    assert file.description
    (plan,) = make_plans([f"sweep={name}"], compose_config, resolved, lambda _: "data")
    assert plan.trials or plan.search
    # the values of a search hold at both ends of their ranges
    for key, entry in plan.search.space.items() if plan.search else ():
        ends = entry.values if isinstance(entry, Choices) else (entry.low, entry.high)
        for end in ends:
            if key not in GROUPS:
                updated(plan.base, {key: end})


def test_the_default_trial_is_the_dataclasses_default_or_says_otherwise_in_yaml() -> None:
    composed, plain = flatten(compose_config()), flatten(Config())
    assert {key for key in plain if composed[key] != plain[key]} == set()
