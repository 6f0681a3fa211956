"""BVLC GoogLeNet against Caffe's formulas, Szegedy's Table 1 and two well-known photographs."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter
from scipy.signal import correlate
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights

from mcalc.models.googlenet_bvlc import BvlcGoogLeNet, Inception, InceptionWidths, caffe_key
from mcalc.models.weights import load_file

# Szegedy et al. 2015, Table 1: input channels, then #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5,
# pool proj.
INCEPTION_TABLE = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


@pytest.fixture(scope="module")
def network() -> BvlcGoogLeNet:
    torch.manual_seed(3)
    return BvlcGoogLeNet().eval()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_block_has_the_parameters_of_the_published_table(network: BvlcGoogLeNet) -> None:
    total = (7 * 7 * 3 + 1) * 64 + (64 + 1) * 64 + (3 * 3 * 64 + 1) * 192 + (1024 + 1) * 1000
    for block, (c, one, red3, three, red5, five, pool) in INCEPTION_TABLE.items():
        expected = (
            (c + 1) * (one + red3 + red5 + pool) + (9 * red3 + 1) * three + (25 * red5 + 1) * five
        )
        assert count(getattr(network, f"inception{block}")) == expected, block
        total += expected
    # 6,998,552 is what BVLC's own file holds without its auxiliary classifiers.
    assert count(network) == total == 6_998_552


def test_maps_have_the_published_sizes_at_224(network: BvlcGoogLeNet) -> None:
    sizes: dict[str, tuple[int, ...]] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, output, name=name: sizes.__setitem__(name, tuple(output.shape[1:]))
        )
        for name, module in network.named_children()
        if name.startswith(("conv", "inception", "average", "classifier"))
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    for hook in hooks:
        hook.remove()
    assert sizes == {
        "conv1": (64, 112, 112),
        "conv2_reduce": (64, 56, 56),
        "conv2": (192, 56, 56),
        "inception3a": (256, 28, 28),
        "inception3b": (480, 28, 28),
        "inception4a": (512, 14, 14),
        "inception4b": (512, 14, 14),
        "inception4c": (512, 14, 14),
        "inception4d": (528, 14, 14),
        "inception4e": (832, 14, 14),
        "inception5a": (832, 7, 7),
        "inception5b": (1024, 7, 7),
        "average": (1024, 1, 1),
        "classifier": (1000,),
    }


@pytest.mark.parametrize("size", [112, 56, 28, 14, 113, 30])
def test_pooled_sizes_are_rounded_up_as_in_caffe(network: BvlcGoogLeNet, size: int) -> None:
    pooled = network.pool(torch.zeros(1, 1, size, size))
    expected = math.ceil((size - 3) / 2) + 1
    assert pooled.shape[2:] == (expected, expected)


def test_a_window_over_the_edge_takes_the_maximum_of_what_is_inside(network: BvlcGoogLeNet) -> None:
    ramp = -torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    # Windows begin at 0 and 2; all values are negative, so that zero padding would show.
    assert network.pool(ramp).squeeze().tolist() == [[-1.0, -3.0], [-9.0, -11.0]]


def test_lrn_is_caffes_formula(network: BvlcGoogLeNet) -> None:
    x = np.random.default_rng(0).uniform(0, 300, (2, 9, 3, 4))
    expected = np.empty_like(x)
    for channel in range(9):
        window = x[:, max(0, channel - 2) : channel + 3]
        scale = 1 + 1e-4 / 5 * (window**2).sum(axis=1)
        expected[:, channel] = x[:, channel] / scale**0.75
    assert abs(expected - x).max() > 50  # the formula has something to do
    np.testing.assert_allclose(network.lrn(torch.tensor(x)).numpy(), expected, rtol=1e-12)


def convolve(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """(C, H, W) -> (O, H, W) with zero padding, by scipy, then ReLU."""
    weight = layer.weight.detach().numpy()
    bias = layer.bias.detach().numpy()
    maps = [
        sum(correlate(x[c], kernel[c], mode="same", method="direct") for c in range(len(x))) + b
        for kernel, b in zip(weight, bias, strict=True)
    ]
    return np.maximum(np.stack(maps), 0)


def test_inception_is_four_branches_in_caffes_order() -> None:
    torch.manual_seed(1)
    block = Inception(3, InceptionWidths(2, 3, 4, 2, 3, 2)).double()
    x = np.random.default_rng(2).normal(size=(3, 7, 6))
    pooled = maximum_filter(x, size=(1, 3, 3), mode="constant", cval=-np.inf)
    expected = np.concatenate(
        [
            convolve(x, block.conv1x1),
            convolve(convolve(x, block.conv3x3_reduce), block.conv3x3),
            convolve(convolve(x, block.conv5x5_reduce), block.conv5x5),
            convolve(pooled, block.pool_proj),
        ]
    )
    found = block(torch.tensor(x)[None])[0].detach().numpy()
    assert found.shape == (2 + 4 + 3 + 2, 7, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_dropout_is_random_in_training_and_off_in_evaluation() -> None:
    torch.manual_seed(0)
    network = BvlcGoogLeNet(classes=2)
    x = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))
    assert network.dropout.p == 0.4  # Szegedy et al., Table 1: dropout (40%)


@pytest.mark.parametrize(
    ("ours", "caffes"),
    [
        ("conv1.weight", "conv1/7x7_s2.weight"),
        ("conv2_reduce.bias", "conv2/3x3_reduce.bias"),
        ("conv2.weight", "conv2/3x3.weight"),
        ("inception3a.conv1x1.weight", "inception_3a/1x1.weight"),
        ("inception4e.conv5x5_reduce.bias", "inception_4e/5x5_reduce.bias"),
        ("inception5b.pool_proj.weight", "inception_5b/pool_proj.weight"),
        ("classifier.bias", "loss3/classifier.bias"),
    ],
)
def test_parameters_have_caffes_names(ours: str, caffes: str) -> None:
    assert caffe_key(ours) == caffes


def bgr_centre(bgr: np.ndarray) -> Tensor:
    """A photograph (H, W, 3) as BVLC saw ImageNet: centre square, 224 px, minus the mean."""
    height, width, _ = bgr.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = bgr[top : top + side, left : left + side]
    small = cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
    x = torch.from_numpy(small).permute(2, 0, 1)[None].float()
    return x - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)


@pytest.mark.shared
def test_bvlcs_weights_recognise_photographs(shared_data: Path, network: BvlcGoogLeNet) -> None:
    trained = BvlcGoogLeNet().eval()
    load_file(trained, shared_data / "weights" / "bvlc_googlenet_oihw.npz", npz_key=caffe_key)
    palace = bgr_centre(load_sample_image("china.jpg")[:, :, ::-1].copy())
    officer = bgr_centre(
        cv2.imread(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    )
    names = AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    with torch.no_grad():
        shares = trained(torch.cat((palace, officer))).softmax(dim=1)
    best = [{names[k] for k in row.topk(2).indices} for row in shares]
    assert best[0] == {"palace", "monastery"}  # the Summer Palace in Beijing
    assert "military uniform" in best[1]  # Rear Admiral Grace Hopper
    assert (shares.max(dim=1).values > 0.3).all()  # chance is 0.001
