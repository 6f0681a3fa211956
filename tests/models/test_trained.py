"""Networks of trials, from the files that they kept: the same network, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mcalc.config import BackboneConfig
from mcalc.errors import UserError
from mcalc.models.backbones import build_classifier
from mcalc.models.trained import load_trained

State = dict[str, Tensor]
SQUEEZENET = BackboneConfig(name="squeezenet", weights="none")
FROZEN = BackboneConfig(name="squeezenet", weights="none", freeze="all")
HEAD = ("classifier.1.weight", "classifier.1.bias")


def kept(path: Path, config: BackboneConfig, seed: int) -> State:
    """Write what a trial keeps of a network."""
    state = dict(build_classifier(config, seed, 2).model.state_dict())
    if config.freeze == "all":
        state = {name: state[name] for name in HEAD}
    torch.save(state, path)
    return state


@pytest.mark.parametrize("config", [SQUEEZENET, FROZEN], ids=["whole", "head"])
def test_what_a_trial_kept_is_its_network_again(tmp_path: Path, config: BackboneConfig) -> None:
    torch.manual_seed(1)
    path = tmp_path / "network.pth"
    expected = build_classifier(config, 5, 2).model
    with torch.no_grad():
        expected.get_parameter(HEAD[1]).add_(0.25)
    state = expected.state_dict()
    torch.save(state if config is SQUEEZENET else {name: state[name] for name in HEAD}, path)
    built = load_trained(path, config, classes=2, seed=5)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(built.model(image), expected.eval()(image))
    assert not built.model.training


def without(name: str) -> Callable[[State], Any]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def changed(name: str, value: Callable[[Tensor], Any]) -> Callable[[State], Any]:
    return lambda state: state | {name: value(state[name])}


REFUSED: dict[str, tuple[Callable[[State], Any], str]] = {
    "an array too few": (without(HEAD[0]), "is not a network of backbone=squeezenet: 1 arrays"),
    "one more": (lambda state: state | {"more": torch.ones(1)}, r"1 arrays .*, as more"),
    "another shape": (changed(HEAD[1], lambda value: value[:1]), f"as {HEAD[1]}"),
    "no number": (changed(HEAD[1], lambda value: value * torch.nan), "values that are no numbers"),
    "a list": (lambda state: list(state.values()), "is not the network of a trial"),
    "a text among them": (changed(HEAD[1], str), "is not the network of a trial"),
}


@pytest.mark.parametrize("config", [SQUEEZENET, FROZEN], ids=["whole", "head"])
@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_any_other_file_is_refused_and_named(
    tmp_path: Path, config: BackboneConfig, change: Callable[[State], Any], said: str
) -> None:
    path = tmp_path / "network.pth"
    torch.save(change(kept(path, config, 5)), path)
    with pytest.raises(UserError, match=said) as raised:
        load_trained(path, config, classes=2, seed=5)
    assert str(path) in str(raised.value)


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    kept(path, SQUEEZENET, 5)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot be read: .*; put a copy of the file back"):
        load_trained(path, SQUEEZENET, classes=2, seed=5)
