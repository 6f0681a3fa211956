"""Local response normalisation across channels, as AlexNet and GoogLeNet have it.

Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS 2012,
section 3.3; MATLAB: crossChannelNormalizationLayer; Caffe: LRN, ACROSS_CHANNELS. PyTorch's own
computes the same as an average pool over a fifth dimension and a power, which is half of a training
step of BVLC's GoogLeNet on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BETA = 0.75
_COMPUTED_BYTES = 4
"""Of a number in float32."""
_PART_BYTES = 3_000_000
"""Measured on two Zen 4 cores with 1 MB of cache each and 32 MB in common: 1 to 3 MB are alike, the
whole batch of 24 MB takes 1.5 to 2 times as long."""


class LocalResponseNorm(nn.Module):
    """x / (k + alpha / size * sum of x^2 over `size` neighbouring channels) ^ 0.75.

    The same as `torch.nn.LocalResponseNorm(size, alpha, 0.75, k)`: the window of an even size has
    one channel more before the middle than behind it, and channels beyond the ends count as 0.
    Computed in float32, or float64 for such input; the output has the input's type and memory
    format. It can be differentiated once.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, size: int, alpha: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.k = size, alpha, k

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        normalised: Tensor = _Normalise.apply(x, self.size, self.alpha, self.k)
        return normalised

    def extra_repr(self) -> str:
        """As torch prints its own."""
        return f"{self.size}, alpha={self.alpha}, beta={BETA}, k={self.k}"


class _Normalise(torch.autograd.Function):
    """With r = s^-1/2 of the bracket s: y = x * s^-3/4, and s^-3/4 = r * r^1/2.

    A square root and its reciprocal are one instruction each; a power is a logarithm and an
    exponential.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, k: float) -> Tensor:
        wide = _wide(x)
        root = torch.empty_like(wide)
        y = torch.empty_like(x)
        for values, r, out in zip(_parts(wide), _parts(root), _parts(y), strict=True):
            s = _window_sums(values * values, size // 2, (size - 1) // 2)
            torch.rsqrt(s.mul_(alpha / size).add_(k), out=r)
            out.copy_(s.copy_(r).sqrt_().mul_(r).mul_(values))
        ctx.save_for_backward(x, root)
        ctx.size, ctx.alpha = size, alpha
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """dx_i = g_i s_i^-3/4 - 2 beta alpha / size x_i * sum over j with i in its window of
        g_j x_j s_j^-7/4."""
        x, root = ctx.saved_tensors
        size = ctx.size
        factor = -2 * BETA * ctx.alpha / size
        found = torch.empty_like(x)
        parts = (_parts(_wide(gradient)), _parts(_wide(x)), _parts(root), _parts(found))
        for g, values, r, out in zip(*parts, strict=True):
            direct = r.sqrt().mul_(r).mul_(g)
            # mirrored: the channels in whose windows this one is
            sums = _window_sums((direct * values).mul_(r).mul_(r), (size - 1) // 2, size // 2)
            out.copy_(sums.mul_(values).mul_(factor).add_(direct))
        return found, None, None, None


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """On a CPU a few images at a time: what is computed in between stays in its cache."""
    if x.device.type != "cpu" or not x.numel():
        return (x,)
    of_one = x[0].numel() * _COMPUTED_BYTES
    return torch.split(x, max(1, _PART_BYTES // of_one))


def _window_sums(x: Tensor, before: int, behind: int) -> Tensor:
    """For each channel the sum over itself, `before` channels before it and `behind` after it."""
    sums = x.clone()
    for shift in range(1, min(before, x.shape[1] - 1) + 1):
        sums[:, shift:] += x[:, :-shift]
    for shift in range(1, min(behind, x.shape[1] - 1) + 1):
        sums[:, :-shift] += x[:, shift:]
    return sums
