"""Dropout is PyTorch's in all but the random numbers themselves."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest, chisquare
from small_network import SMALL_BACKBONE
from torch import Tensor, nn

from mcalc.config import BackboneConfig
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.dropout import Dropout, put_dropout
from mcalc.models.undrawn import blank

LAYOUTS = {
    "vectors": torch.ones(7, 1031),
    "maps": torch.ones(3, 5, 13, 11),
    "channels last": torch.ones(3, 5, 13, 11).contiguous(memory_format=torch.channels_last),
    "one position": torch.ones(4, 9, 1, 1),
    "not dense": torch.ones(8, 40)[:, ::3],
    "a volume": torch.ones(2, 3, 4, 5, 6),
    "one number": torch.ones(()),
    "nothing": torch.ones(0, 4),
}


@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("p", [0.5, 0.4])
def test_numbers_are_dropped_or_scaled_and_so_are_their_gradients(x: Tensor, p: float) -> None:
    layer, x = Dropout(p), x.clone().requires_grad_()
    y = layer(x)
    assert y.shape == x.shape
    assert y.stride() == nn.Dropout(p)(x).stride()
    kept = y != 0
    assert torch.allclose(y[kept], torch.tensor(1 / (1 - p)), rtol=1e-4)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("p", [0.5, 0.25, 0.4, 0.2, 0.001, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_as_many_are_dropped_as_p_says(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(11)
    x = torch.ones(1_000_003, dtype=dtype)
    y = Dropout(p)(x)
    assert y.dtype == dtype
    dropped = int((y == 0).sum())
    assert binomtest(dropped, len(x), p).pvalue > 1e-4
    assert y.double().mean().item() == pytest.approx(1, abs=0.15 if p > 0.9 else 0.01)


@pytest.mark.parametrize("p", [0.5, 0.4])
def test_neighbours_are_dropped_independently(p: float) -> None:
    torch.manual_seed(12)
    kept = (Dropout(p)(torch.ones(800_000)) != 0).long()
    for apart in (1, 2, 3, 4, 7, 8, 16, 64):
        pairs = kept[:-apart] * 2 + kept[apart:]
        counts = torch.bincount(pairs[:: apart + 1], minlength=4)
        odds = torch.tensor([p * p, p * (1 - p), p * (1 - p), (1 - p) ** 2], dtype=torch.float64)
        # the last place of float64 keeps both sums from being equal
        assert chisquare(counts, odds / odds.sum() * counts.sum()).pvalue > 1e-4


def test_what_is_drawn_follows_from_pytorchs_generator() -> None:
    layer, x = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer(x), second)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_evaluation_and_the_extremes_are_pytorchs(p: float) -> None:
    x = torch.randn(50)
    state = torch.get_rng_state()
    assert torch.equal(Dropout(p).eval()(x), x)
    assert torch.equal(torch.get_rng_state(), state)
    if p != 0.5:
        assert torch.equal(Dropout(p)(x), nn.Dropout(p)(x))


def test_a_gradient_is_that_of_the_numbers_that_came_out() -> None:
    def seeded(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        found: Tensor = Dropout(0.4)(x)
        return found

    assert torch.autograd.gradcheck(seeded, torch.randn(4, 6, dtype=torch.float64).requires_grad_())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_networks_dropout_is_this_one(name: str) -> None:
    model = build_classifier(BackboneConfig(name, "none"), 0).model
    with torch.device("meta"):
        reference = BACKBONES[name].build()
    theirs = {n: m.p for n, m in reference.named_modules() if isinstance(m, nn.Dropout)}
    ours = {n: m.p for n, m in model.named_modules() if isinstance(m, Dropout)}
    assert theirs == ours
    assert theirs


def test_a_packages_network_has_it_and_its_own_kinds_stay() -> None:
    assert isinstance(blank(SMALL_BACKBONE).get_submodule("4"), Dropout)

    class Own(nn.Dropout):
        pass

    shared = nn.Dropout(0.3).eval()
    model = nn.Sequential(
        nn.Dropout2d(0.1), Own(0.2), nn.Dropout(0.3, inplace=True), nn.Sequential(shared), shared
    )
    kinds = [type(layer) for layer in model[:3]]
    put_dropout(model)
    assert [type(layer) for layer in model[:3]] == kinds
    for layer in (model[3][0], model[4]):
        assert (type(layer), layer.p, layer.training) == (Dropout, 0.3, False)


def test_a_layer_that_a_network_knows_by_another_way_too_changes_its_mode_with_it() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)
            self.steps = [self.drop]

        def forward(self, x: Tensor) -> Tensor:
            for step in self.steps:
                x = step(x)
            return x

    model, x = Listed(), torch.ones(200)
    put_dropout(model)
    assert isinstance(model.drop, Dropout)
    assert not torch.equal(model(x), x)
    assert torch.equal(model.eval()(x), x)
