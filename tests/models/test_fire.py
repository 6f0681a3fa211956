"""SqueezeNet's Fire module gives torchvision's own numbers, and its steps where they are read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import SqueezeNet
from torchvision.models.squeezenet import Fire as TorchvisionFire

from mcalc.models.backbones import BACKBONES
from mcalc.models.fire import Fire, put_fire
from mcalc.models.tracing import Tracer
from mcalc.models.undrawn import blank


def networks(version: str) -> tuple[SqueezeNet, SqueezeNet]:
    """torchvision's network, and one with our modules; the weights are the same."""
    torch.manual_seed(3)
    theirs = SqueezeNet(version, num_classes=5, dropout=0.0)
    ours = SqueezeNet(version, num_classes=5, dropout=0.0)
    ours.load_state_dict(theirs.state_dict())
    put_fire(ours)
    return theirs, ours


def step(network: nn.Module, images: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Logits and gradients of one training step."""
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        logits = network(images)
    nn.functional.cross_entropy(logits.float(), torch.tensor([1, 4, 0])).backward()
    return [logits, *(each.grad for each in network.parameters() if each.grad is not None)]


@pytest.mark.parametrize("version", ["1_0", "1_1"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [True, False])
def test_a_step_gives_the_numbers_of_torchvisions_to_the_last_bit(
    version: str, dtype: torch.dtype, layout: torch.memory_format, training: bool
) -> None:
    images = torch.randn(3, 3, 96, 96).contiguous(memory_format=layout)
    found = [
        step(network.to(memory_format=layout).train(training), images, dtype)
        for network in networks(version)
    ]
    assert len(found[0]) == 1 + 2 * (1 + 3 * 8 + 1)
    assert all(torch.equal(theirs, ours) for theirs, ours in zip(*found, strict=True))
    assert any(gradient.abs().max() > 0 for gradient in found[1][1:])


@pytest.mark.parametrize("change", ["another activation", "a hook"])
def test_a_package_that_changes_or_watches_the_branches_gets_what_it_asks(change: str) -> None:
    seen = []
    found = []
    for network in networks("1_1"):
        for fire in network.modules():
            if not isinstance(fire, TorchvisionFire):
                continue
            if change == "another activation":
                fire.expand1x1_activation = nn.SiLU()
            else:
                fire.expand3x3_activation.register_forward_hook(lambda *_: seen.append(1))
        images = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(5))
        found.append(step(network.train(), images, torch.float32))
    assert all(torch.equal(theirs, ours) for theirs, ours in zip(*found, strict=True))
    assert len(seen) == (2 * 8 if change == "a hook" else 0)


def test_its_steps_are_read_as_torchvisions() -> None:
    theirs, ours = networks("1_1")
    for training in (True, False):
        steps = [
            [(step.op, step.target) for step in Tracer().trace(network.train(training)).nodes]
            for network in (theirs, ours)
        ]
        assert steps[0] == steps[1]


def test_the_backbones_have_it_and_other_kinds_of_it_stay() -> None:
    found = [type(each) for each in blank(BACKBONES["squeezenet"]).modules()]
    assert found.count(Fire) == 8
    assert TorchvisionFire not in found

    class Own(TorchvisionFire):
        pass

    network = nn.Sequential(Own(8, 2, 4, 4))
    put_fire(network)
    assert type(network[0]) is Own
