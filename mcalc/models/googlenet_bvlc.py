"""GoogLeNet as BVLC trained it in Caffe, which is the network behind MATLAB's `googlenet`.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, Table 1, as replicated in BVLC/caffe,
`models/bvlc_googlenet` (unrestricted licence; top-1 68.7 % on ImageNet). torchvision's network of
the same name is another one: batch normalisation, no local response normalisation, 3x3 where this
one has 5x5, a 2x2 last pool, no convolution biases. The auxiliary classifiers served Caffe's
training only and are omitted, as in MATLAB.

Weight files name its parameters by Caffe's layers: `conv1/7x7_s2.weight`,
`inception_3a/5x5_reduce.bias`, `loss3/classifier.weight`; docs/weights.md says where they come
from.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcalc.models.local_response_norm import LocalResponseNorm


class InceptionWidths(NamedTuple):
    """Output channels of an inception block's convolutions (columns of Szegedy's Table 1)."""

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    conv5x5_reduce: int
    conv5x5: int
    pool_proj: int


class Inception(nn.Module):
    """Four branches over one input, joined along the channels; height and width stay.

    Shapes: (B, in_channels, H, W) -> (B, out, H, W), where `out` is the sum of the four branches'
    last widths.
    """

    def __init__(self, in_channels: int, widths: InceptionWidths) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_channels, widths.conv1x1, 1)
        self.conv3x3_reduce = nn.Conv2d(in_channels, widths.conv3x3_reduce, 1)
        self.conv3x3 = nn.Conv2d(widths.conv3x3_reduce, widths.conv3x3, 3, padding=1)
        self.conv5x5_reduce = nn.Conv2d(in_channels, widths.conv5x5_reduce, 1)
        self.conv5x5 = nn.Conv2d(widths.conv5x5_reduce, widths.conv5x5, 5, padding=2)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.pool_proj = nn.Conv2d(in_channels, widths.pool_proj, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, H, W), in Caffe's order of branches."""
        one = F.relu(self.conv1x1(x))  # (B, conv1x1, H, W)
        three = F.relu(self.conv3x3_reduce(x))  # (B, conv3x3_reduce, H, W)
        three = F.relu(self.conv3x3(three))  # (B, conv3x3, H, W)
        five = F.relu(self.conv5x5_reduce(x))  # (B, conv5x5_reduce, H, W)
        five = F.relu(self.conv5x5(five))  # (B, conv5x5, H, W)
        pooled = F.relu(self.pool_proj(self.pool(x)))  # (B, pool_proj, H, W)
        return torch.cat((one, three, five, pooled), dim=1)  # (B, out, H, W)


class BvlcGoogLeNet(nn.Module):
    """BVLC GoogLeNet: nine inception blocks, 6,998,552 parameters with its 1000-class classifier.

    Input (B, 3, H, W), channels blue, green, red, 0..255 minus the mean (104, 117, 123); output
    (B, classes) logits. Made for 224x224; the last pool averages whatever map is left (7x7 at 224),
    so that any other size from 31x31 on works too, if farther from what the weights were trained
    on.
    """

    def __init__(self, classes: int = 1000, dropout: float = 0.4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.conv2_reduce = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.inception3a = Inception(192, InceptionWidths(64, 96, 128, 16, 32, 32))
        self.inception3b = Inception(256, InceptionWidths(128, 128, 192, 32, 96, 64))
        self.inception4a = Inception(480, InceptionWidths(192, 96, 208, 16, 48, 64))
        self.inception4b = Inception(512, InceptionWidths(160, 112, 224, 24, 64, 64))
        self.inception4c = Inception(512, InceptionWidths(128, 128, 256, 24, 64, 64))
        self.inception4d = Inception(512, InceptionWidths(112, 144, 288, 32, 64, 64))
        self.inception4e = Inception(528, InceptionWidths(256, 160, 320, 32, 128, 128))
        self.inception5a = Inception(832, InceptionWidths(256, 160, 320, 32, 128, 128))
        self.inception5b = Inception(832, InceptionWidths(384, 192, 384, 48, 128, 128))
        self.classifier = nn.Linear(1024, classes)
        # Caffe rounds pooled sizes up. PyTorch divides alpha by the window as Caffe does.
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.lrn = LocalResponseNorm(size=5, alpha=1e-4, k=1.0)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, classes) logits; sizes in the comments are those of a 224 input."""
        x = F.relu(self.conv1(x))  # (B, 64, 112, 112)
        x = self.lrn(self.pool(x))  # (B, 64, 56, 56)
        x = F.relu(self.conv2_reduce(x))  # (B, 64, 56, 56)
        x = self.lrn(F.relu(self.conv2(x)))  # (B, 192, 56, 56)
        x = self.pool(x)  # (B, 192, 28, 28)
        x = self.inception3a(x)  # (B, 256, 28, 28)
        x = self.inception3b(x)  # (B, 480, 28, 28)
        x = self.pool(x)  # (B, 480, 14, 14)
        x = self.inception4a(x)  # (B, 512, 14, 14)
        x = self.inception4b(x)  # (B, 512, 14, 14)
        x = self.inception4c(x)  # (B, 512, 14, 14)
        x = self.inception4d(x)  # (B, 528, 14, 14)
        x = self.inception4e(x)  # (B, 832, 14, 14)
        x = self.pool(x)  # (B, 832, 7, 7)
        x = self.inception5a(x)  # (B, 832, 7, 7)
        x = self.inception5b(x)  # (B, 1024, 7, 7)
        x = self.average(x).flatten(1)  # (B, 1024)
        logits: Tensor = self.classifier(self.dropout(x))  # (B, classes)
        return logits


_CAFFE_LAYERS = {
    "conv1": "conv1/7x7_s2",
    "conv2_reduce": "conv2/3x3_reduce",
    "conv2": "conv2/3x3",
    "classifier": "loss3/classifier",
}


AUXILIARY = tuple(
    f"loss{number}/{layer}" for number in (1, 2) for layer in ("conv", "fc", "classifier")
)
"""Layers of the auxiliary classifiers, which Caffe's own file holds."""


def caffe_key(key: str) -> str:
    """Caffe's name of one of our parameters.

    `conv1.weight` is `conv1/7x7_s2.weight`; `inception3a.conv5x5_reduce.bias` is
    `inception_3a/5x5_reduce.bias`.
    """
    layer, kind = key.rsplit(".", 1)
    if layer.startswith("inception"):
        block, branch = layer.removeprefix("inception").split(".")
        return f"inception_{block}/{branch.removeprefix('conv')}.{kind}"
    return f"{_CAFFE_LAYERS[layer]}.{kind}"
