"""What becomes of a mini-batch's images, drawn on the CPU: numbers that travel to the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mcalc.data.loading.augment_draws import (
    deviation,
    draw_of,
    grey_levels,
    matrix,
    noise_start,
)
from mcalc.data.loading.crops import Crops
from mcalc.data.loading.sampler import Draw


class Changes(NamedTuple):
    """A mini-batch as it travels. What is switched off has no rows."""

    rows: Tensor
    """(B,) int64: which images, of those on the device or of `images`."""
    images: Tensor
    """(B, H, W) uint8 where the set does not lie on the device; else (0, H, W)."""
    labels: Tensor
    """(B,) int64."""
    sources: Tensor
    """(B, 6) float32 or (0, 6): a matrix (2, 3) by rows, from a pixel (x, y) to its source."""
    levels: Tensor
    """(B, 256) uint8 or (0, 256): the new level of each grey level."""
    starts: Tensor
    """(B,) int64 or (0,): where in the noise table each image's noise begins."""
    deviations: Tensor
    """(B,) float32 or (0,): standard deviation of the noise in grey levels."""


@dataclass(eq=False)
class Recipes(Dataset[Changes]):
    """The changes of (epoch, position), as `Crops` has changed images: the same draws.

    It holds nothing of the device, so that other processes may draw ahead (`trainer.workers`).
    """

    crops: Crops
    rows: npt.NDArray[np.int64] | None
    """Of each position, the row of its image on the device; None where images travel."""

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, draw: Draw) -> Changes:
        """A mini-batch of one."""
        return self.__getitems__([draw])

    def __getitems__(self, draws: Sequence[Draw]) -> Changes:
        """A mini-batch, as a DataLoader asks for it."""
        members = self.crops.members
        positions = [position for _, position in draws]
        height, width = self.crops.images.shape[1:]
        if self.rows is None:
            rows = torch.arange(len(draws))
            images = self.crops.unaugmented(positions)[:, 0]
        else:
            rows = torch.from_numpy(self.rows[positions])
            images = torch.empty((0, height, width), dtype=torch.uint8)
        labels = torch.tensor([members[position].label for position in positions])
        return Changes(rows, images, labels, *self._changes(draws, width, height))

    def _changes(
        self, draws: Sequence[Draw], width: int, height: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        augment = self.crops.augment
        found: list[tuple[int, int]] = list(draws) if augment and augment.enabled else []
        sources = np.empty((len(found), 6), dtype=np.float32)
        levels = np.empty((len(found), 256), dtype=np.uint8)
        starts = np.empty(len(found), dtype=np.int64)
        deviations = np.empty(len(found), dtype=np.float32)
        if augment is None or not found:
            return tuple(map(torch.from_numpy, (sources, levels, starts, deviations)))  # type: ignore[return-value]
        amount = augment.amounts
        for row, (epoch, position) in enumerate(found):
            drawn = draw_of(augment.seed, self.crops.drawn_as(epoch), position)
            there = matrix(amount, drawn.moving, width, height)
            sources[row] = cv2.invertAffineTransform(there).ravel()
            levels[row] = grey_levels(amount, drawn.colouring)
            deviations[row] = deviation(amount, drawn.colouring)
            starts[row] = noise_start(width * height, drawn.more) if amount.noise else 0
        moves = amount.moves or amount.flip_horizontal or amount.flip_vertical
        return (
            torch.from_numpy(sources if moves else sources[:0]),
            torch.from_numpy(levels if amount.recolours else levels[:0]),
            torch.from_numpy(starts if amount.noise else starts[:0]),
            torch.from_numpy(deviations if amount.noise else deviations[:0]),
        )
