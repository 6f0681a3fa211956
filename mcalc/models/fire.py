"""SqueezeNet's Fire module with one ReLU behind its concatenation, in training.

torchvision has a ReLU in each branch, and keeps both branches and the concatenation for the
backward pass. With one ReLU behind it the concatenation is enough: 295 MB in place of 382 for 32
images. The numbers are equal to the last bit. A step with 32 images takes 142 ms in place of 147;
with 10 images nothing changes (two Zen 5 cores).
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torchvision.models.squeezenet import Fire as TorchvisionFire


class Fire(TorchvisionFire):  # type: ignore[misc]  # torchvision has no types
    """A squeezing convolution, and two that expand it again, side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, expand1x1 + expand3x3, H, W)."""
        if not self.training or isinstance(x, fx.Proxy) or not self._is_plain():
            # step by step, as torchvision's: where layers are watched, and files are matched
            expanded: Tensor = super().forward(x)
            return expanded
        x = self.squeeze_activation(self.squeeze(x))
        return torch.relu_(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))

    def _is_plain(self) -> bool:
        """Whether what is left out below is torchvision's own, and nobody looks at it."""
        layers = (self.expand1x1_activation, self.expand3x3_activation)
        return all(type(layer) is nn.ReLU and not _is_watched(layer) for layer in layers)


def _is_watched(layer: nn.Module) -> bool:
    """Whether a layer has hooks."""
    hooks = (
        layer._forward_hooks,
        layer._forward_pre_hooks,
        layer._backward_hooks,
        layer._backward_pre_hooks,
    )
    return any(hooks)


def put_fire(model: nn.Module) -> None:
    """Make torchvision's Fire modules of a network into these."""
    for layer in model.modules():
        if type(layer) is TorchvisionFire:
            layer.__class__ = Fire
