"""What an entry of a package may get wrong is answered in a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from small_network import SMALL_BACKBONE
from torch import nn

from mcalc.errors import UserError
from mcalc.models.backbone import Backbone
from mcalc.models.checks import check_logits
from mcalc.models.undrawn import blank, put_head


def fails(*_: object) -> nn.Module:
    raise ZeroDivisionError("by nothing")


class Extra(nn.Module):
    def get_extra_state(self) -> dict[str, float]:
        return {"mean": 1.0}


def built(change: Any) -> Backbone:
    """The small network's entry, with what it builds changed."""

    def build() -> nn.Module:
        model = SMALL_BACKBONE.build()
        return change(model) or model  # type: ignore[no-any-return]

    return replace(SMALL_BACKBONE, build=build)


def put_in(head: nn.Module) -> Any:
    """What puts this layer into a network as its head."""

    def put(model: nn.Module, _: int) -> nn.Module:
        model.add_module("head", head)
        return head

    return put


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (replace(SMALL_BACKBONE, build=fails), r"`build` failed \(ZeroDivisionError: by nothing\)"),
        (built(lambda model: model.add_module("more", Extra())), "Extra has extra state"),
        (built(lambda model: model.half()), r"is float16, expected float32"),
        (built(lambda model: model.double()), r"is float64, expected float32"),
        (
            built(lambda model: model.register_buffer("more", torch.ones(1).expand(8))),
            r"buffer more is an expanded view.*expected a tensor of its own",
        ),
        (
            built(lambda model: model.register_buffer("more", torch.ones(2) * 1j)),
            r"buffer more is complex64.*expected real and imaginary parts apart",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(entry: Backbone, expected: str) -> None:
    with pytest.raises(UserError, match=rf"backbone\.name={entry.name}: its .*{expected}"):
        blank(entry)


@pytest.mark.parametrize(
    ("replace_head", "expected"),
    [
        (fails, r"`replace_head` failed \(ZeroDivisionError: by nothing\)"),
        (lambda *_: None, "gives no layer, expected the layer that it put there"),
        (lambda *_: nn.Linear(4, 2), "gives a Linear that is not in the network"),
        (lambda *_: torch.zeros(2), "gives a Tensor that is not in the network"),
        (
            lambda model, _: SMALL_BACKBONE.replace_head(model, 1000),
            "gives a layer of 1000 outputs, expected 2",
        ),
        (put_in(nn.Linear(4, 2).half()), "is float16, expected float32"),
        (put_in(nn.Linear(4, 2).double()), "is float64, expected float32"),
        (put_in(nn.Sequential(nn.Linear(4, 2), Extra())), "Extra has extra state"),
    ],
)
def test_a_head_that_is_not_the_networks_is_refused(replace_head: Any, expected: str) -> None:
    entry = replace(SMALL_BACKBONE, replace_head=replace_head)
    with pytest.raises(UserError, match=rf"backbone\.name={entry.name}: its .*{expected}"):
        put_head(blank(entry), entry, 2)


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.Dropout(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
        nn.Sequential(nn.Conv2d(4, 2, 1), nn.Flatten()),
        nn.Sequential(nn.Linear(4, 4), nn.GLU()),
        nn.Bilinear(4, 4, 2),
    ],
)
def test_heads_of_several_layers_and_of_unknown_ones_are_taken(head: nn.Module) -> None:
    entry = replace(SMALL_BACKBONE, replace_head=put_in(head))
    assert put_head(blank(entry), entry, 2) is head


class Giving(nn.Module):
    """Gives what it was told, for as many images."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: torch.Tensor) -> object:
        return self.answer(images)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda images: images.new_zeros(len(images), 3), r"gives a tensor \(2, 3\) for 2 images"),
        (lambda images: images.new_zeros(len(images)), r"gives a tensor \(2,\) for 2 images"),
        (lambda images: (images,), "gives a tuple for 2 images, expected logits"),
        (lambda images: images @ images.new_zeros(7), r"failed on images of \d+ x \d+ \(Runtime"),
    ],
)
def test_a_network_that_gives_other_than_logits_is_refused(answer: Any, expected: str) -> None:
    with pytest.raises(UserError, match=rf"backbone\.name={SMALL_BACKBONE.name}: .*{expected}"):
        check_logits(SMALL_BACKBONE, Giving(answer), 2)


def test_a_network_that_gives_logits_is_as_it_was_before() -> None:
    model = nn.BatchNorm2d(3)
    state = torch.get_rng_state()
    check_logits(SMALL_BACKBONE, nn.Sequential(model, Giving(lambda x: x.mean((2, 3))[:, :2])), 2)
    assert torch.equal(model.running_mean, torch.zeros(3))  # type: ignore[arg-type]
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
