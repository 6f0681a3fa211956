"""Networks are built without draws that nothing uses, and have the weights of their seed."""

from __future__ import annotations

import random
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


class OfEachGenerator(nn.Linear):
    """Numbers that a package may draw by NumPy or Python, or take from its first weights."""

    def __init__(self) -> None:
        super().__init__(8, 2)
        self.register_buffer("first", self.weight.detach().clone(), persistent=False)
        drawn = [*np.random.rand(4), *(random.random() for _ in range(4))]  # noqa: NPY002
        self.register_buffer("others", torch.tensor(drawn), persistent=False)
        self.plain = torch.randn(8)
        self.listed = [nn.init.normal_(torch.empty(8)), self.weight.detach().clone()]


@pytest.mark.parametrize("place", ["body", "head"])
def test_whatever_generator_a_package_draws_by_its_numbers_are_the_same_and_sound(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> nn.Module:
        small = SMALL_BACKBONE.build()
        small.append(nn.Sequential(nn.Linear(1000, 8), OfEachGenerator(), nn.Linear(2, 1000)))
        return small

    def head(network: nn.Module, classes: int) -> nn.Module:
        network.set_submodule("5", OfEachGenerator())
        return network.get_submodule("5")

    entry = (
        replace(SMALL_BACKBONE, name="drawing", build=build)
        if place == "body"
        else replace(SMALL_BACKBONE, name="drawing", replace_head=head)
    )
    monkeypatch.setattr(registry, "BACKBONES", {**BACKBONES, "drawing": entry})
    found = []
    for turn in range(3):
        torch.manual_seed(turn)
        np.random.seed(turn)  # noqa: NPY002
        random.seed(turn)
        held = [torch.full((64,), 1e30) for _ in range(50)]  # what memory may hold
        del held
        model = build_classifier(BackboneConfig("drawing", "none"), turn).model
        assert random.random() == random.Random(turn).random()
        assert np.random.rand() == np.random.RandomState(turn).rand()  # noqa: NPY002
        (layer,) = [each for each in model.modules() if isinstance(each, OfEachGenerator)]
        found.append((layer.first, layer.others, layer.plain, *layer.listed))
    for numbers in zip(*found, strict=True):
        assert all(torch.equal(numbers[0], other) for other in numbers)
        assert numbers[0].abs().max() < 10
        assert len(set(numbers[0].flatten().tolist())) == numbers[0].numel()


def test_what_is_no_network_or_has_no_shapes_yet_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = {
        "none": replace(SMALL_BACKBONE, name="none", build=lambda: None),
        "lazy": replace(
            SMALL_BACKBONE,
            name="lazy",
            build=lambda: nn.Sequential(*SMALL_BACKBONE.build(), nn.LazyLinear(3)),
        ),
    }
    monkeypatch.setattr(registry, "BACKBONES", {**BACKBONES, **entries})
    with pytest.raises(UserError, match=r"name=none: its `build` gives NoneType"):
        build_classifier(BackboneConfig("none", "none"), 0)
    with pytest.raises(UserError, match=r"LazyLinear has weights whose shapes are not known"):
        build_classifier(BackboneConfig("lazy", "none"), 0)


def test_a_package_is_offered_what_its_network_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled() -> nn.Module:
        return nn.Sequential(*SMALL_BACKBONE.build(), Scale())

    entries = {
        "scaled": replace(SMALL_BACKBONE, name="scaled", build=scaled),
        "plain": replace(SMALL_BACKBONE, name="plain"),
    }
    monkeypatch.setattr(registry, "BACKBONES", {**BACKBONES, **entries})
    with pytest.raises(UserError) as small:
        build_classifier(BackboneConfig("plain", "imagenet"), 0)
    with pytest.raises(UserError) as refused:
        build_classifier(BackboneConfig("scaled", "imagenet"), 0)
    for error in (small, refused):
        assert "PATH of its .pth or .pt file" in str(error.value)
        assert ".onnx" not in str(error.value)
    assert "backbone.weights=none" in str(small.value)
    assert "backbone.weights=none" not in str(refused.value)


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
