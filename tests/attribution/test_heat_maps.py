"""Heat maps against an independent Grad-CAM, and that computing them changes nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcalc.attribution import NoHeatMapsError, heat_maps, randomised
from mcalc.config import BackboneConfig
from mcalc.models import BACKBONES, SavedNetwork, build_classifier

SIZE = 96
LARGE = ("alexnet", "alexnet_bvlc", "googlenet")
"""Backbones whose turn takes seconds."""
_SLOW = (pytest.mark.slow, pytest.mark.whole)
EVERY = [pytest.param(name, marks=_SLOW if name in LARGE else ()) for name in BACKBONES]


@cache
def network_of(name: str) -> SavedNetwork:
    """With random weights, and outputs in the order in which the images are malignant to it."""
    built = build_classifier(BackboneConfig(name=name, weights="none"), seed=5)
    head = next(n for n, module in built.model.named_modules() if module is built.head)
    network = SavedNetwork(built.model, head, built.contract, built.stages).eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(images_of(3))[:, None])
        if logits[:, 1].sum() < logits[:, 0].sum():
            weight = network.model.get_submodule(head).weight
            weight.copy_(weight.flip(0))
    return network


def images_of(n: int, size: int = SIZE) -> npt.NDArray[np.uint8]:
    draws = np.random.default_rng(7)
    images = draws.integers(0, 90, (n, size, size), dtype=np.uint8)
    for place, image in enumerate(images):  # a bright square somewhere else in each
        top = 10 + 15 * place
        image[top : top + 20, top : top + 20] += 120
    return images


def upsampled(maps: Tensor, size: int) -> npt.NDArray[np.float32]:
    """Grad-CAM's last steps: negative parts off, as large as the image, at most 1."""
    whole = F.interpolate(F.relu(maps)[:, None], size, mode="bilinear")[:, 0]
    highest = whole.amax(dim=(1, 2), keepdim=True)
    return (whole / torch.where(highest > 0, highest, 1)).numpy()


def of_bvlc_googlenet(network: SavedNetwork, images: npt.NDArray[np.uint8]) -> Tensor:
    """By the layers' names and PyTorch's gradients, without captum and without torch.fx."""
    kept: list[Tensor] = []
    inside: nn.Module = network.model.get_submodule("inception5b")
    hook = inside.register_forward_hook(lambda _, __, output: kept.append(output))
    logits = network(torch.from_numpy(images)[:, None])
    hook.remove()
    return weighted(kept[0], logits)


def of_bvlc_alexnet(network: SavedNetwork, images: npt.NDArray[np.uint8]) -> Tensor:
    net = network.model
    x = network.channels(torch.from_numpy(images)[:, None])
    x = net.pool(net.lrn(F.relu(net.conv1(x))))
    x = net.pool(net.lrn(F.relu(net.conv2(x))))
    maps = F.relu(net.conv5(F.relu(net.conv4(F.relu(net.conv3(x))))))
    flat = net.to_6x6(net.pool(maps)).flatten(1)
    return weighted(maps, net.fc8(F.relu(net.fc7(F.relu(net.fc6(flat))))))


def weighted(maps: Tensor, logits: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).detach()


@pytest.mark.parametrize(
    ("name", "independent"),
    [
        ("googlenet_bvlc", of_bvlc_googlenet),
        pytest.param("alexnet_bvlc", of_bvlc_alexnet, marks=_SLOW),
    ],
)
def test_a_heat_map_is_that_of_an_independent_grad_cam(name, independent) -> None:  # type: ignore[no-untyped-def]
    network, images = network_of(name), images_of(3)
    found = heat_maps(network, images, batch=2)
    assert found.shape == images.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() == pytest.approx(1)
    np.testing.assert_allclose(found, upsampled(independent(network, images), SIZE), atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_every_backbone_has_heat_maps_and_is_as_it_was(name: str) -> None:
    network, images = network_of(name), images_of(2)
    first = next(network.model.parameters())
    first.requires_grad = False  # as a frozen layer
    network.model.get_submodule(network.head).train()
    modes = [module.training for module in network.modules()]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = heat_maps(network, images)
    assert found.shape == images.shape
    assert found.max() == pytest.approx(1)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not first.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    network.eval()

    other = randomised(network, seed=1)
    assert torch.equal(first, next(other.model.parameters()))  # only the last layers are redrawn
    heads = [each.model.get_submodule(each.head).weight for each in (network, other)]
    assert not torch.equal(*heads)
    assert np.abs(found - heat_maps(other, images)).max() > 0.05
    again = randomised(network, seed=1).state_dict()
    assert all(torch.equal(again[key], value) for key, value in other.state_dict().items())


class Branching(nn.Module):
    """A network whose steps depend on its input, which torch.fx cannot read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 1e9:
            x = x / 2
        return self.fc(self.average(self.conv(x)).flatten(1))


class Flat(nn.Module):
    """A network without maps."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * SIZE * SIZE, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


class Tokens(nn.Module):
    """Attention over patches, as in a ViT: its weights have four dimensions and are no maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 32, stride=32)
        self.mixed = nn.Linear(12, 36)
        self.softmax = nn.Softmax(dim=-1)
        self.norm = nn.LayerNorm(12)
        self.fc = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.above(self.conv(x))

    def above(self, maps: Tensor) -> Tensor:
        """Logits of maps (B, 12, 3, 3)."""
        tokens = self.norm(maps.flatten(2).transpose(1, 2))
        parts = self.mixed(tokens).reshape(tokens.shape[0], 9, 3, 2, 6).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)  # (B, 2, 9, 6)
        attention = self.softmax(query @ key.transpose(-2, -1))  # (B, 2, 9, 9)
        joined = (attention @ value).transpose(1, 2).reshape(tokens.shape)
        return self.fc((tokens + joined).mean(1))


class BranchingTokens(Tokens):
    """The same for torch.fx to fail at."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x / 2 if x.mean() > 1e9 else x)


class LastNormalised(nn.Module):
    """Normalises its pooled maps with channels last, as ConvNeXt: (B, 1, 1, C) is no map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=4)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.above(self.conv(x).relu())

    def above(self, maps: Tensor) -> Tensor:
        last = self.norm(self.average(maps).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.fc(last.flatten(1))


def of_module(model: nn.Module) -> SavedNetwork:
    contract = BACKBONES["squeezenet"].contract
    return SavedNetwork(model, "fc", contract, (r"conv\.", r"fc\."))


def test_a_network_that_cannot_be_traced_has_the_maps_of_its_last_layer() -> None:
    torch.manual_seed(2)
    network, images = of_module(Branching()), images_of(2)
    x = network.channels(torch.from_numpy(images)[:, None])
    maps = network.model.conv(x)
    expected = weighted(maps, network.model.fc(maps.mean(dim=(2, 3))))
    np.testing.assert_allclose(heat_maps(network, images), upsampled(expected, SIZE), atol=1e-5)


@pytest.mark.parametrize("kind", [Tokens, BranchingTokens, LastNormalised])
def test_what_has_four_dimensions_and_is_no_map_is_not_taken_for_one(
    kind: type[Tokens | LastNormalised],
) -> None:
    torch.manual_seed(2)
    network, images = of_module(kind().eval()), images_of(2)
    maps = network.model.conv(network.channels(torch.from_numpy(images)[:, None]))
    if kind is LastNormalised:
        maps = maps.relu()  # the last ones are behind it
    expected = weighted(maps, network.model.above(maps))
    np.testing.assert_allclose(heat_maps(network, images), upsampled(expected, SIZE), atol=1e-5)


def test_a_network_without_maps_is_refused_in_a_sentence() -> None:
    with pytest.raises(NoHeatMapsError, match="Flat has no layer below its head"):
        heat_maps(of_module(Flat()), images_of(1))


def test_no_image_has_no_map() -> None:
    assert heat_maps(network_of("squeezenet"), images_of(0)).shape == (0, SIZE, SIZE)
