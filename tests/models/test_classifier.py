"""The module that trains: two classes or three, from grey bytes to logits."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
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


@pytest.mark.parametrize("name", BACKBONES)
def test_the_head_computes_in_float32_whatever_the_rest_does(name: str) -> None:
    """In bf16 its logits would have 256 steps from one power of two to the next: ties."""
    config = BackboneConfig(name=name, weights="none")
    classifier = Classifier(build_classifier(config, 0), config, HeadConfig(), TrainerConfig())
    size = BACKBONES[name].contract.smallest + 32
    images = torch.randint(0, 256, (24, 1, size, size), generator=torch.Generator().manual_seed(0))
    classifier.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = classifier(images)
    assert low.dtype is torch.float32
    # a number of bf16 is the same after it was rounded to it
    assert (low.bfloat16().float() != low).float().mean() > 0.9
    with torch.no_grad():
        full = classifier(images)
    torch.testing.assert_close(low, full, rtol=0.1, atol=0.1 * float(full.abs().max()))


def test_the_head_learns_in_float32_and_is_saved_as_it_was() -> None:
    config = BackboneConfig(name="squeezenet", weights="none")
    built = build_classifier(config, 0)
    names = set(built.model.state_dict())
    classifier = Classifier(built, config, HeadConfig(), TrainerConfig())
    images, labels = torch.randint(0, 256, (2, 1, 64, 64)), torch.tensor([0, 1])
    with torch.autocast("cpu", torch.bfloat16):
        loss = classifier.training_step((images, labels), 0)
    loss.backward()
    gradients = [parameter.grad for parameter in built.head.parameters()]
    assert all(each is not None and each.dtype is torch.float32 for each in gradients)
    assert set(built.model.state_dict()) == names
    copied = deepcopy(classifier).eval()
    with torch.no_grad():
        copied.head_module[0].weight.zero_()
        copied.head_module[0].bias.zero_()
        assert (copied(images) == 0).all()


@pytest.mark.parametrize("count", [1, 10, 32, 64])
def test_grey_bytes_become_the_channels_that_the_contract_says(count: int) -> None:
    """In however large a batch: to the last bit, in the layout that the settings name."""
    backbone = BackboneConfig("googlenet", "none")
    built = build_classifier(backbone, 0)
    draw = np.random.default_rng(0)
    grey = draw.integers(0, 256, (count, 1, 9, 7), dtype=np.uint8)
    mean, std = (
        np.float32(each)[:, None, None] for each in (built.contract.mean, built.contract.std)
    )
    expected = (grey.astype(np.float32) - mean) / std
    for channels_last in (True, False):
        settings = TrainerConfig(channels_last=channels_last)
        module = Classifier(built, backbone, HeadConfig(), settings)
        found = module.channels(torch.from_numpy(grey))
        np.testing.assert_array_equal(found.numpy(), expected)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert found.is_contiguous(memory_format=layout)
