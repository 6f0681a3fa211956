"""The module that trains: two classes or three, from grey bytes to logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mcalc.config import BackboneConfig, HeadConfig, TrainerConfig
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.classifier import Classifier

SQUEEZENET = BackboneConfig(name="squeezenet", weights="none")


def classifier(classes: int) -> Classifier:
    built = build_classifier(SQUEEZENET, 0, classes)
    return Classifier(built, SQUEEZENET, HeadConfig(), TrainerConfig())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_a_head_of_three_stands_where_that_of_two_does(name: str) -> None:
    backbone = BackboneConfig(name=name, weights="none")
    two, three = (build_classifier(backbone, 0, classes) for classes in (2, 3))
    heads = [dict(built.head.named_parameters()) for built in (two, three)]
    assert heads[0].keys() == heads[1].keys()
    for parameter in heads[0]:
        assert heads[0][parameter].shape[0] == 2
        assert heads[1][parameter].shape[0] == 3
        assert heads[0][parameter].shape[1:] == heads[1][parameter].shape[1:]
    below = {id(value) for value in three.head.parameters()}
    for (key, one), (_, other) in zip(
        two.model.named_parameters(), three.model.named_parameters(), strict=True
    ):
        if id(other) not in below:
            assert torch.equal(one, other), f"{key} depends on the number of classes"
    assert dict(three.model.named_modules())  # the head is a part of the model
    assert any(module is three.head for module in three.model.modules())


@pytest.mark.parametrize("classes", [2, 3])
def test_logits_and_loss_are_of_so_many_classes(classes: int) -> None:
    module = classifier(classes).eval()
    images = torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8)
    labels = torch.arange(4) % classes
    logits = module(images)
    assert logits.shape == (4, classes)
    loss = module.training_step((images, labels), 0)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, labels).item())
    mean, accuracy = module.take_training_means()
    assert mean == pytest.approx(loss.item())
    assert accuracy == pytest.approx((logits.argmax(1) == labels).double().mean().item())


def test_default_is_two_classes() -> None:
    assert build_classifier(SQUEEZENET, 0).head.out_channels == 2  # type: ignore[union-attr]


def test_every_factor_of_the_settings_reaches_the_optimizer() -> None:
    backbone = BackboneConfig(
        name="squeezenet", weights="none", weight_lr=2.0, bias_lr=3.0, weight_l2=5.0, bias_l2=7.0
    )
    head = HeadConfig(weight_lr=11.0, bias_lr=13.0, weight_l2=17.0, bias_l2=19.0)
    trainer = TrainerConfig(lr=1e-2, l2=1e-3, momentum=0.8)
    module = Classifier(build_classifier(backbone, 0), backbone, head, trainer)
    groups = module.configure_optimizers().param_groups
    found = {group["name"]: (group["lr"], group["weight_decay"]) for group in groups}
    assert found == {
        "backbone.weight": pytest.approx((0.02, 0.005)),
        "backbone.bias": pytest.approx((0.03, 0.007)),
        "head.weight": pytest.approx((0.11, 0.017)),
        "head.bias": pytest.approx((0.13, 0.019)),
    }
    assert {group["momentum"] for group in groups} == {0.8}
