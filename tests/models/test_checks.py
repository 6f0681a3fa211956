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


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (replace(SMALL_BACKBONE, build=fails), r"`build` failed \(ZeroDivisionError: by nothing\)"),
        (built(lambda model: model.add_module("more", Extra())), "Extra has extra state"),
        (built(lambda model: model.half()), r"is float16, expected float32"),
        (built(lambda model: model.double()), r"is float64, expected float32"),
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
        nn.Bilinear(4, 4, 2),
    ],
)
def test_heads_of_several_layers_and_of_unknown_ones_are_taken(head: nn.Module) -> None:
    def put(model: nn.Module, _: int) -> nn.Module:
        model.add_module("head", head)
        return head

    entry = replace(SMALL_BACKBONE, replace_head=put)
    assert put_head(blank(entry), entry, 2) is head
