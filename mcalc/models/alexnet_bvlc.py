"""AlexNet as BVLC trained it in Caffe, which is the network behind MATLAB's `alexnet`.

Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012, as
replicated in BVLC/caffe, `models/bvlc_alexnet` (unrestricted licence; top-1 57.1 % on ImageNet).
torchvision's network of the same name is that of another paper ("One weird trick", arXiv
1404.5997): other widths, no groups, no local response normalisation, a padded first convolution,
dropout before the first two fully connected layers and none before the last.

Caffe's other replication, CaffeNet (`bvlc_reference_caffenet`), has the same layers and shapes and
pools before it normalises: its weights are not this network's.

The layers have Caffe's names, which MATLAB kept; docs/weights.md says where weights come from.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mcalc.models.local_response_norm import LocalResponseNorm


class BvlcAlexNet(nn.Module):
    """BVLC AlexNet: 60,965,224 parameters with its 1000-class classifier.

    Input (B, 3, H, W), channels blue, green, red, 0..255 minus the mean (104, 117, 123); output
    (B, classes) logits. Made for 227x227, where the last pool leaves 6x6. Any other size from 39x39
    on is averaged or repeated to 6x6, as torchvision's network does it, and works too, if farther
    from what the weights were trained on.
    """

    def __init__(self, classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        # Two groups: Krizhevsky's network lay on two GPUs, and half of it did not see the other.
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, classes)
        # Caffe rounds pooled sizes up. PyTorch divides alpha by the window as Caffe does.
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.lrn = LocalResponseNorm(size=5, alpha=1e-4, k=1.0)
        self.to_6x6 = nn.AdaptiveAvgPool2d(6)
        self.dropout6 = nn.Dropout(dropout)
        self.dropout7 = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, classes) logits; sizes in the comments are those of a 227 input."""
        x = F.relu(self.conv1(x))  # (B, 96, 55, 55)
        x = self.pool(self.lrn(x))  # (B, 96, 27, 27)
        x = F.relu(self.conv2(x))  # (B, 256, 27, 27)
        x = self.pool(self.lrn(x))  # (B, 256, 13, 13)
        x = F.relu(self.conv3(x))  # (B, 384, 13, 13)
        x = F.relu(self.conv4(x))  # (B, 384, 13, 13)
        x = F.relu(self.conv5(x))  # (B, 256, 13, 13)
        x = self.pool(x)  # (B, 256, 6, 6)
        x = self.to_6x6(x).flatten(1)  # (B, 9216), channel by channel
        x = self.dropout6(F.relu(self.fc6(x)))  # (B, 4096)
        x = self.dropout7(F.relu(self.fc7(x)))  # (B, 4096)
        logits: Tensor = self.fc8(x)  # (B, classes)
        return logits


def caffe_key(key: str) -> str:
    """Caffe's name of one of our parameters, which is the same: `conv1.weight`, `fc8.bias`."""
    return key
