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
        height, width = images.shape[1:]
        a, b, c, d, e, f = sources[:, :, None, None].unbind(1)  # each (B, 1, 1)
        x = a * self._x + (b * self._y + c)  # (B, H, W)
        y = d * self._x + (e * self._y + f)  # (B, H, W)
        left, top = x.floor(), y.floor()
        across, down = x - left, y - top  # 0..1
        column, row = left.long(), top.long()
        columns = [mirrored(column, width), mirrored(column + 1, width)]
        rows = [mirrored(row, height) * width, mirrored(row + 1, height) * width]
        levels = images.flatten(1).float()  # (B, H * W)

        def between(row: Tensor) -> Tensor:
            ends = [levels.gather(1, (row + each).flatten(1)).view_as(x) for each in columns]
            return ends[0] + across * (ends[1] - ends[0])

        upper, lower = between(rows[0]), between(rows[1])
        return (upper + down * (lower - upper)).round().to(torch.uint8)


def mirrored(index: Tensor, length: int) -> Tensor:
    """Whole numbers folded into 0..length - 1: -1 is 1, `length` is length - 2."""
    last = length - 1
    if not last:
        return torch.zeros_like(index)
    return last - (index.remainder(2 * last) - last).abs()
