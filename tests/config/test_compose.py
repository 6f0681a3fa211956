"""Settings fail at the door, with a sentence that names key, value and what is allowed."""

from __future__ import annotations

import pytest

from mcalc.config import Network, ProtocolName
from mcalc.config.compose import compose_config, parse_overrides
from mcalc.errors import UserError


def test_defaults_and_overrides_arrive_typed() -> None:
    config = compose_config(
        ["backbone=googlenet", "head.weight_lr=15", "stopping.network=best", "protocol=patient"]
    )
    assert config.backbone.name == "googlenet"
    assert config.head.weight_lr == 15.0
    assert config.stopping.network is Network.best
    assert config.protocol.name is ProtocolName.patient
    assert config.data.source == "phantom"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("head.wieght_lr=1", ["head.wieght_lr", "did you mean 'head.weight_lr'"]),
        ("trainer.weight_lr=1", ["trainer.weight_lr", "did you mean"]),
        ("backbone=alexnte", ["backbone=alexnte", "did you mean 'alexnet'", "squeezenet"]),
        ("backbone=alexnet,googlenett", ["googlenett", "did you mean 'googlenet'"]),
        ("head.weight_lr=ten", ["head.weight_lr", "ten", "a number"]),
        ("head.weight_lr=-1", ["head.weight_lr", "-1", "from 0"]),
        ("trainer.momentum=1", ["trainer.momentum", "1", "below 1"]),
        ("trainer.batch_size=0", ["trainer.batch_size", "0", "from 1"]),
        ("trainer.batch_size=2.5", ["trainer.batch_size", "2.5", "a whole number"]),
        ("stopping.patience=0", ["stopping.patience", "0", "from 1"]),
        ("stopping.network=newest", ["stopping.network", "newest", "last", "best"]),
        ("protocol.held_out=1", ["protocol.held_out", "1"]),
        ("data.phantom.difficulty=2", ["data.phantom.difficulty", "2", "0 to 1"]),
        ("backbone.weights=", ["backbone.weights"]),
        ("seed=null", ["seed"]),
        ("+head.extra=1", ["head.extra"]),
        ("~head.weight_lr", ["head.weight_lr", "cannot be deleted"]),
        ("head.weight_lr=[1", ["head.weight_lr=[1", "key=value"]),
    ],
)
def test_a_wrong_setting_is_one_clear_sentence(override: str, said: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        compose_config([override])
    message = str(raised.value)
    for part in said:
        assert part in message
    assert "\n" not in message


def test_comma_lists_are_parsed_for_sweeps() -> None:
    (override,) = parse_overrides(["head.weight_lr=1,10,15"])
    assert list(override.sweep_string_iterator()) == ["1", "10", "15"]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("trainer.max_epoch", "trainer.max_epochs"),
        ("trainer.batchsize", "trainer.batch_size"),
        ("stopping.patince", "stopping.patience"),
        ("stoping.patience", "stopping.patience"),
        ("trainer.patience", "stopping.patience"),
        ("tarcking.dir", "tracking.dir"),
        ("tracking.dri", "tracking.dir"),
        ("data.roots", "data.root"),
        ("batch_size", "trainer.batch_size"),
        ("patience", "stopping.patience"),
        ("wieght_l2", "head.weight_l2"),
        ("sede", "seed"),
        ("trainr", "trainer"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_one_meant(key: str, meant: str) -> None:
    with pytest.raises(UserError, match=f"did you mean '{meant}'"):
        parse_overrides([f"{key}=1"])


@pytest.mark.parametrize(
    "key",
    ["trainer.compile", "trainer.dropout", "trainer.gpus", "trainer.callbacks", "trainer.amp",
     "trainer.optimizer", "trainer.weight_decay", "head.dropout", "tracking.folder", "banana",
     "device", "backbone.depth", "augment.mixup"],
)  # fmt: skip
def test_a_key_that_no_other_is_near_to_is_answered_without_one(key: str) -> None:
    with pytest.raises(UserError, match="unknown key") as caught:
        parse_overrides([f"{key}=1"])
    assert "did you mean" not in str(caught.value)
