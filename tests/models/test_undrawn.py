"""Networks are built without draws that nothing uses, and have the weights of their seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import SMALL_BACKBONE
from torch import nn

from mcalc.config import BackboneConfig
from mcalc.errors import UserError
from mcalc.models import LastWeights
from mcalc.models import backbones as registry
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.trained import filled
from mcalc.models.undrawn import Undrawn
from mcalc.models.weights import initialise


def stream(seed: int, purpose: int) -> torch.Generator:
    """One of the two streams of a seed: 0 draws the weights below the head, 1 the head."""
    mixed = np.random.SeedSequence(seed, spawn_key=(purpose,)).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]))


@pytest.mark.parametrize("name", ["squeezenet", "googlenet", "googlenet_bvlc"])
def test_random_weights_are_those_of_a_network_whose_constructor_drew(name: str) -> None:
    entry = BACKBONES[name]
    with torch.random.fork_rng():
        reference = entry.build()
        initialise(reference, stream(7, 0))
        initialise(entry.replace_head(reference, 2), stream(7, 1))
    built = build_classifier(BackboneConfig(name, "none"), 7).model.state_dict()
    expected = reference.state_dict()
    assert list(built) == list(expected)
    assert all(torch.equal(built[key], expected[key]) for key in expected)


def test_constants_are_written_and_the_generator_stays() -> None:
    before = torch.get_rng_state()
    with Undrawn():
        network = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        nn.init.constant_(network[0].bias, 3.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert network[0].bias.tolist() == [3.0] * 4
    norm = network[2].state_dict()
    assert norm["weight"].tolist() == norm["running_var"].tolist() == [1.0] * 4
    assert norm["bias"].tolist() == norm["running_mean"].tolist() == [0.0] * 4
    nn.init.normal_(network[0].weight)  # behind it, draws are made again
    assert not torch.equal(torch.get_rng_state(), before)


class RandomFeatures(nn.Linear):
    """A layer with numbers that are drawn once and never trained, in each way a package may."""

    def __init__(self) -> None:
        super().__init__(8, 8)
        self.register_buffer("stored", torch.rand(8))
        self.register_buffer("by_init", nn.init.normal_(torch.empty(8)))
        self.register_buffer("left_out", torch.randn(8), persistent=False)


def build_with_random_features() -> nn.Module:
    small = SMALL_BACKBONE.build()
    assert isinstance(small, nn.Sequential)
    small[4] = RandomFeatures()
    return small


def test_what_a_constructor_draws_beside_its_weights_is_the_same_in_every_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = replace(SMALL_BACKBONE, name="features", build=build_with_random_features)
    monkeypatch.setattr(registry, "BACKBONES", {**BACKBONES, "features": entry})
    config, last = BackboneConfig("features", "none"), LastWeights()
    networks = []
    for seed in (3, 3, 3, 4):
        torch.manual_seed(100 + len(networks))  # whatever was drawn before
        before = torch.get_rng_state()
        networks.append(last.build(config, seed, 2).model)
        assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    networks.append(filled(networks[0].state_dict(), "features", 2, "here").model)
    for name in ("stored", "by_init", "left_out"):
        values = [getattr(model[4], name) for model in networks]
        assert all(torch.equal(values[0], value) for value in values)
        assert len(set(values[0].tolist())) == 8


class Scale(nn.Module):
    """A parameter that mcalc has no rule for."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


def test_a_network_and_a_head_without_a_rule_are_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def body() -> nn.Module:
        return nn.Sequential(*SMALL_BACKBONE.build(), Scale())

    def head(network: nn.Module, classes: int) -> nn.Module:
        network.set_submodule("5", nn.Sequential(nn.Linear(8, classes), Scale()))
        return network.get_submodule("5")

    entries = {
        "body": replace(SMALL_BACKBONE, name="body", build=body),
        "head": replace(SMALL_BACKBONE, name="head", replace_head=head),
    }
    monkeypatch.setattr(registry, "BACKBONES", {**BACKBONES, **entries})
    with pytest.raises(UserError, match=r"name=body: scale of Scale \(6 of .*weights=PATH"):
        build_classifier(BackboneConfig("body", "none"), 0)
    with pytest.raises(UserError, match=r"head: scale of Scale \(1 of"):
        build_classifier(BackboneConfig("head", "none"), 0)
