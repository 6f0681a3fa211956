"""Values set by dotted key give what composing gives, and refuse what it refuses."""

from __future__ import annotations

import pytest

from mcalc.config import Config
from mcalc.config.assign import updated
from mcalc.config.compose import compose_config
from mcalc.config.paths import flatten
from mcalc.errors import UserError
from mcalc.sweep.planning.values import override_value

SETTINGS: list[dict[str, object]] = [
    {"head.weight_lr": 10},
    {"head.weight_lr": 1.5e-3, "head.bias_lr": 2},
    {"stopping.patience": 15},
    {"stopping.patience": None},
    {"stopping.network": "best"},
    {"trainer.channels_last": True, "trainer.precision": "bf16"},
    {"seed": 7, "name": "a, b", "data.clahe.clip_limit": 2},
    {"backbone.weights": "some/file.npz"},
    {"trainer.max_iterations": 5, "protocol.seed": None},
]


@pytest.mark.parametrize("values", SETTINGS, ids=str)
def test_values_are_as_composed(values: dict[str, object]) -> None:
    overrides = [f"{key}={override_value(value)}" for key, value in values.items()]
    composed = compose_config(overrides)
    changed = updated(compose_config(), values)
    assert flatten(changed) == flatten(composed)
    assert {k: type(v) for k, v in flatten(changed).items()} == {
        k: type(v) for k, v in flatten(composed).items()
    }


def test_the_original_stays_and_sections_that_do_not_change_are_shared() -> None:
    config = Config()
    changed = updated(config, {"head.weight_lr": 3})
    assert config.head.weight_lr == 10
    assert changed.trainer is config.trainer


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("head.weight_lr", "ten", "head.weight_lr=ten is not understood: expected a number"),
        ("head.weight_lr", -1, "head.weight_lr=-1.0 is out of range"),
        ("head.weight_lr", float("nan"), "expected a number"),
        ("head.weight_lr", None, "head.weight_lr=null is not understood"),
        ("stopping.patience", 1.5, "expected a whole number or null"),
        ("stopping.patience", 0, "stopping.patience=0 is out of range"),
        ("stopping.network", "first", "expected one of last, best"),
        ("trainer.channels_last", 1, "expected true, false or auto"),
        ("augment.enabled", 1, "expected true or false"),
        ("seed", True, "expected a whole number"),
        ("head", 3, "head is a section"),
        ("head.wait", 3, "unknown key 'head.wait'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(key: str, value: object, said: str) -> None:
    with pytest.raises(UserError) as raised:
        updated(Config(), {key: value})
    assert said in str(raised.value)
