"""What a search costs at most is bounded by corners of its space."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from mcalc.config import Config, updated
from mcalc.config.compose import compose_config
from mcalc.data.loading import run_length
from mcalc.errors import UserError
from mcalc.sweep.planning import Choices, Corners, Plan, corners, make_plans

SETTINGS = ("backbone=squeezenet", "backbone.weights=none", "budget.trials=3", "name=mine")
LEARNING = "head.weight_lr=interval(1,30)"


def unchanged(config: Config) -> Config:
    return config


def plan_of(*words: str) -> Plan:
    (plan,) = make_plans(
        [*SETTINGS, *words, LEARNING], compose_config, unchanged, lambda _: "fingerprint"
    )
    return plan


def corners_of(*words: str) -> Corners:
    return corners(plan_of(*words), compose_config, unchanged)


def iterations(configs: Sequence[Config], images: int) -> int:
    return max(run_length(images, config.trainer).iterations for config in configs)


@pytest.mark.parametrize("images", [23, 400])
@pytest.mark.parametrize(
    "words",
    [
        ["trainer.max_epochs=1,30,7"],
        ["trainer.batch_size=16,3,10"],
        ["trainer.max_iterations=100,null,5"],
        ["trainer.max_iterations=100,300,5", "trainer.batch_size=2,50", "trainer.max_epochs=1,9"],
        ["trainer.batch_size=2,3", "trainer.max_iterations=9", "augment.strength=0,1"],
    ],
    ids=" ".join,
)
def test_no_configuration_of_the_space_trains_longer(words: list[str], images: int) -> None:
    found = corners_of(*words)
    plan = plan_of(*words)
    assert plan.search
    space = {
        key: values.values
        for key, values in plan.search.space.items()
        if isinstance(values, Choices)
    }
    every = [
        updated(plan.base, dict(zip(space, values, strict=True)))
        for values in itertools.product(*space.values())
    ]
    assert iterations(found.configs, images) == iterations(every, images)
    assert not found.unknown


def test_the_ends_of_intervals_are_looked_at() -> None:
    found = corners_of(
        "trainer.max_epochs=int(interval(1,100))", "trainer.batch_size=int(interval(4,64))"
    )
    (config,) = found.configs
    assert (config.trainer.max_epochs, config.trainer.batch_size) == (100, 4)


def test_where_iterations_are_counted_a_large_batch_may_take_longest() -> None:
    found = corners_of("trainer.batch_size=4,16,64", "trainer.max_iterations=100")
    assert {config.trainer.batch_size for config in found.configs} == {4, 64}


def test_each_network_may_cost_most_whether_named_or_chosen_as_a_group() -> None:
    for words in (["backbone=alexnet,googlenet"], ["backbone.name=alexnet,googlenet"]):
        found = corners_of(*words)
        assert {config.backbone.name for config in found.configs} == {"alexnet", "googlenet"}
        assert not found.unknown
        assert found.features_differ


@pytest.mark.parametrize(
    ("word", "differ"),
    [
        ("head.bias_lr=1,2", False),
        ("trainer.max_epochs=1,2", False),
        ("augment.strength=interval(0,2)", True),
        ("data.clahe.clip_limit=interval(0.001,0.1)", True),
    ],
)
def test_settings_that_cost_alike_leave_the_bound(word: str, differ: bool) -> None:
    found = corners_of(word)
    assert len(found.configs) == 1
    assert not found.unknown
    assert found.features_differ is differ


@pytest.mark.parametrize(
    "word",
    ["data.region=crop,patch", "protocol.held_out=interval(0.1,0.4)", "data.unit=lesion,image"],
)
def test_settings_whose_cost_is_not_known_are_named(word: str) -> None:
    assert corners_of(word).unknown == (word.partition("=")[0],)


def test_a_space_of_too_many_corners_has_no_bound() -> None:
    found = corners_of(
        "backbone=alexnet,googlenet,squeezenet",
        "trainer.precision=fp32,bf16",
        "stopping.network=best,last",
        "augment.enabled=true,false",
    )
    assert len(found.configs) == 16
    assert set(found.unknown) == {
        "backbone", "trainer.precision", "stopping.network", "augment.enabled",
    }  # fmt: skip


def test_values_that_do_not_go_together_are_left_out_and_refused_where_none_do() -> None:
    fitting = corners_of("protocol.fold=0,7", "protocol.folds=5")
    assert {config.protocol.fold for config in fitting.configs} == {0}
    with pytest.raises(UserError, match="fold"):
        corners_of("protocol.fold=6,7", "protocol.folds=5")
