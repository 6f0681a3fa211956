"""Prepared images on the device that trains: gathered there by number, and augmented there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mcalc.data.loading.augment_batch import Changes, Recipes
from mcalc.data.loading.augment_on_device import DeviceAugment
from mcalc.data.loading.crops import Batch, Crops
from mcalc.data.splits import Sample

_Rows = npt.NDArray[np.int64]


@dataclass(eq=False)
class DeviceCrops:
    """A subset whose mini-batches are made on a device (`mcalc.data.loading.crops.Subset`)."""

    crops: Crops
    device: torch.device
    augment: DeviceAugment
    images: Tensor | None
    """(n, H, W) uint8 on the device, offline copies included; None where they did not fit: those
    of a mini-batch travel then, to the same numbers."""
    rows: _Rows | None
    """Of each position, the row in `images`."""

    def __post_init__(self) -> None:
        self.members: Sequence[Sample] = self.crops.members
        self.recipes = Recipes(self.crops, self.rows)
        self._rows = None if self.rows is None else torch.from_numpy(self.rows).to(self.device)

    def __len__(self) -> int:
        return len(self.crops)

    def unaugmented(self, positions: Sequence[int]) -> Tensor:
        """Images (B, 1, S, S) uint8 at these positions, as evaluation sees them.

        On the device where the set lies there and positions follow one another, else on the CPU.
        """
        if self.images is None or self._rows is None or not _follow(positions):
            return self.crops.unaugmented(positions)
        return self.images.index_select(0, self._rows[positions[0] : positions[-1] + 1])[:, None]

    def made(self, changes: Changes) -> Batch:
        """Images (B, 1, S, S) and labels (B,) of `recipes`, both on the device."""
        images = changes.images if self.images is None else self.images
        changed = self.augment(images.index_select(0, changes.rows), changes)
        return changed[:, None], changes.labels

    def __getitem__(self, draw: tuple[int, int]) -> Batch:
        """Image (1, S, S) and label on the device."""
        images, labels = self.made(Changes(*(each.to(self.device) for each in self.recipes[draw])))
        return images[0], labels[0]


def on_device(
    subsets: Sequence[Crops], device: torch.device, most_bytes: int | None = None
) -> list[DeviceCrops]:
    """The subsets with their images on the device, each image once.

    Where these would take more than `most_bytes`, they stay where they are, and `images` of the
    answers is None.
    """
    height, width = subsets[0].images.shape[1:]
    augment = DeviceAugment(height, width, device)
    samples = {
        (sample.image, sample.copy): (crops, sample)
        for crops in subsets
        for sample in crops.members
    }
    if most_bytes is not None and len(samples) * height * width > most_bytes:
        return [DeviceCrops(crops, device, augment, None, None) for crops in subsets]
    images = np.empty((len(samples), height, width), dtype=np.uint8)
    for row, (crops, sample) in enumerate(samples.values()):
        images[row] = crops.image(sample)
    row_of = {key: row for row, key in enumerate(samples)}
    there = torch.from_numpy(images).to(device)
    return [
        DeviceCrops(
            crops,
            device,
            augment,
            there,
            np.array([row_of[each.image, each.copy] for each in crops.members], dtype=np.int64),
        )
        for crops in subsets
    ]


def _follow(positions: Sequence[int]) -> bool:
    return isinstance(positions, range) and positions.step == 1 and len(positions) > 0
