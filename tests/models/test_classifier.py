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
