"""`mcalc.data.loading.augment` for a mini-batch at once, by PyTorch, on any device.

The draws are those of `Augment`. Every operation below rounds once, as IEEE 754 says, and sums in
no order of its own (no `addcmul`, no `grid_sample`): processors and GPUs give the same bits. OpenCV
interpolates with other roundings, so that a few pixels in ten thousand differ from its by a level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcalc.data.loading.augment_batch import Changes
from mcalc.data.loading.augment_draws import noise_table


class DeviceAugment:
    """Changes images of one size on one device."""

    def __init__(self, height: int, width: int, device: torch.device) -> None:
        self._x = torch.arange(width, dtype=torch.float32, device=device)
        self._y = torch.arange(height, dtype=torch.float32, device=device)[:, None]
        self._last = torch.tensor([width - 1, height - 1], device=device)[:, None, None]
        self._pixels = torch.arange(height * width, device=device)
        self._noise = torch.from_numpy(noise_table(height * width)).to(device)

    def __call__(self, images: Tensor, changes: Changes) -> Tensor:
        """Changed copies (B, H, W) of images (B, H, W), uint8 0..255; `changes` on their device."""
        if len(changes.sources):
            images = self._moved(images, changes.sources)
        flat = images.flatten(1)  # (B, H * W)
        if len(changes.levels):
            flat = changes.levels.gather(1, flat.long())
        if len(changes.starts):
            # whole levels, cut towards 0
            noise = self._noise[changes.starts[:, None] + self._pixels]
            noise = (noise * changes.deviations[:, None]).trunc()
            flat = (flat + noise).clamp(0, 255).to(torch.uint8)
        return flat.view(images.shape)

    def _moved(self, images: Tensor, sources: Tensor) -> Tensor:
        """Each pixel read from its source, between four neighbours; the border is mirrored."""
        across, down, start = sources.view(-1, 2, 3, 1, 1).unbind(2)  # each (B, 2, 1, 1)
        at = across * self._x + (down * self._y + start)  # (B, 2, H, W): x, then y
        low = at.floor()
        right, below = (at - low).unbind(1)  # each (B, H, W), 0..1
        first = low.long()
        left, top = mirrored(first, self._last).unbind(1)
        next_left, next_top = mirrored(first + 1, self._last).unbind(1)
        levels = images.flatten(1).float()  # (B, H * W)
        width = images.shape[2]

        def between(row: Tensor) -> Tensor:
            start = row * width
            one, other = (
                levels.gather(1, (start + column).flatten(1)).view_as(right)
                for column in (left, next_left)
            )
            return one + right * (other - one)

        upper, lower = between(top), between(next_top)
        return (upper + below * (lower - upper)).round().to(torch.uint8)


def mirrored(index: Tensor, last: Tensor) -> Tensor:
    """Whole numbers folded into 0..last: -1 is 1, and last + 1 is last - 1."""
    return last - (index.remainder((2 * last).clamp(min=1)) - last).abs()
