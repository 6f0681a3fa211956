"""Rates and modes by stage: what backbone.lr_decay and backbone.freeze do to a real network."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.errors import UserError
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.classifier import Classifier
from mcalc.models.stages import Stages

EVERY = sorted(BACKBONES)
HEAD = HeadConfig(weight_lr=10, bias_lr=20)
TRAINER = TrainerConfig(lr=1e-3, momentum=0.9)


def classifier(name: str, **settings: float | str) -> Classifier:
    backbone = BackboneConfig(name=name, weights="none", **settings)
    return Classifier(build_classifier(backbone, 0), backbone, HEAD, TRAINER)


def rates(module: Classifier) -> dict[str, float]:
    """Learn rate by parameter name; parameters that do not learn are absent."""
    names = {id(parameter): name for name, parameter in module.model.named_parameters()}
    groups = module.configure_optimizers().param_groups
    return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}


def test_a_rate_is_multiplied_by_the_decay_to_the_power_of_the_depth() -> None:
    """AlexNet by hand: eight stages, of which the head has depth 0 and the first layer depth 7."""
    found = rates(classifier("alexnet", lr_decay=0.5))
    layers = [*(f"features.{n}" for n in (0, 3, 6, 8, 10)), *(f"classifier.{n}" for n in (1, 4))]
    for depth, layer in enumerate(reversed(layers), start=1):
        assert found[f"{layer}.weight"] == pytest.approx(1e-3 * 0.5**depth)
        assert found[f"{layer}.bias"] == pytest.approx(2e-3 * 0.5**depth)
    assert found["classifier.6.weight"] == pytest.approx(1e-2)
    assert found["classifier.6.bias"] == pytest.approx(2e-2)


@pytest.mark.parametrize("name", EVERY)
def test_the_neutral_values_leave_the_groups_as_they_are(name: str) -> None:
    groups = classifier(name).configure_optimizers().param_groups
    kinds = [group["name"] for group in groups]
    assert len(set(kinds)) == len(kinds), "one group per kind of layer"
    assert classifier(name).stages.frozen == 0


def one_step(module: Classifier) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The network's state before and after one training step."""
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    images = torch.randint(0, 256, (4, 1, 64, 64), generator=torch.Generator().manual_seed(1))
    optimizer = module.configure_optimizers()
    torch.manual_seed(5)
    module.training_step((images.to(torch.uint8), torch.tensor([0, 1, 0, 1])), 0).backward()
    optimizer.step()
    return before, module.model.state_dict()


@pytest.mark.parametrize("name", EVERY)
def test_frozen_stages_keep_weights_and_statistics(name: str) -> None:
    module = classifier(name, freeze="2")
    before, after = one_step(module)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    frozen = {key for key in before if any(re.match(p, key) for p in BACKBONES[name].stages[:2])}
    assert frozen
    assert not changed & frozen
    assert changed, "what lies above learns"


@pytest.mark.parametrize("name", EVERY)
def test_with_all_frozen_only_the_head_learns_and_nothing_is_dropped(name: str) -> None:
    module = classifier(name, freeze="all")
    module.eval()
    module.train()
    head = {id(parameter) for parameter in module.head_module[0].parameters()}
    of_head = {key for key, value in module.model.named_parameters() if id(value) in head}
    assert rates(module).keys() == of_head
    for key, part in module.model.named_modules():
        if isinstance(part, nn.Dropout | nn.modules.batchnorm._BatchNorm):
            assert not part.training, key
    before, after = one_step(module)
    assert {key for key in before if not torch.equal(before[key], after[key])} <= of_head
    images = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    assert torch.equal(module(images), module(images)), "two passes in training mode are one"


@pytest.mark.parametrize(
    ("name", "freeze", "expected"),
    [
        ("alexnet", "5", {"classifier.0": False, "classifier.3": True}),
        ("alexnet_bvlc", "5", {"dropout6": True, "dropout7": True}),
        ("alexnet_bvlc", "6", {"dropout6": False, "dropout7": True}),
        ("alexnet_bvlc", "7", {"dropout6": False, "dropout7": False}),
        ("googlenet_bvlc", "10", {"dropout": True}),
        ("googlenet_bvlc", "11", {"dropout": False}),
    ],
)
def test_stages_that_learn_keep_their_dropout(
    name: str, freeze: str, expected: dict[str, bool]
) -> None:
    dropouts = {
        key: part.training
        for key, part in classifier(name, freeze=freeze).model.named_modules()
        if isinstance(part, nn.Dropout)
    }
    assert dropouts == expected


@pytest.mark.parametrize("settings", [{"lr_decay": 0.5}, {"freeze": "1"}])
def test_a_parameter_of_no_stage_is_named_where_its_stage_matters(
    settings: dict[str, float | str],
) -> None:
    """As of an entry of a package that forgot a layer."""
    patterns = (r"below\.", r"head\.")
    stages = Stages(patterns, BackboneConfig("theirs", "none", **settings))
    assert stages.lr_factor("head.weight") == 1
    with pytest.raises(UserError, match=r"between\.weight of theirs is in none: correct the stag"):
        stages.lr_factor("between.weight")
    neutral = Stages(patterns, BackboneConfig("theirs", "none"))
    assert neutral.lr_factor("between.weight") == 1


def test_more_stages_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match=r"backbone\.freeze=8: alexnet has 7 stages .* 0 to 7, or"):
        classifier("alexnet", freeze="8")
