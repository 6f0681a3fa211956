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
