"""The images of a subset as training and evaluation see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mcalc.data.loading.augment import Augment
from mcalc.data.splits import Sample

Batch = tuple[Tensor, Tensor]
"""Images (B, 1, S, S) uint8 0..255 and labels (B,) int64, 1 malignant."""


@dataclass(eq=False)
class Crops(Dataset[Batch]):
    """Prepared images by (epoch, position); evaluation has no augmentation."""

    images: npt.NDArray[np.uint8]
    """(n, S, S)."""
    members: Sequence[Sample]
    augment: Augment | None = None
    """Changes an image anew in each epoch."""
    copies: Augment | None = None
    """Makes the offline copies."""
    cycle: int | None = None
    """Epochs after which the same changes come again; None: never."""

    def __len__(self) -> int:
        return len(self.members)

    def unaugmented(self, positions: Sequence[int]) -> Tensor:
        """Images (B, 1, S, S) uint8 at these positions, as evaluation sees them."""
        images = np.stack([self.image(self.members[position]) for position in positions])
        return torch.from_numpy(images)[:, None]

    def image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """A sample's image (S, S) without augmentation; one of the offline copies is made here."""
        image: npt.NDArray[np.uint8] = self.images[sample.image]
        if sample.copy and self.copies:
            image = self.copies(np.array(image), sample.copy, sample.image)
        return image

    def __getitem__(self, draw: tuple[int, int]) -> Batch:
        """Image (1, S, S) uint8 and its label."""
        images, labels = self.__getitems__([draw])
        return images[0], labels[0]

    def __getitems__(self, draws: Sequence[tuple[int, int]]) -> Batch:
        """A mini-batch (B, 1, S, S) uint8 and its labels (B,), as a DataLoader asks for it.

        One thread puts the images together. PyTorch would wake several, which takes longer.
        """
        images = np.stack([self.changed(*draw) for draw in draws])
        labels = [self.members[position].label for _, position in draws]
        return torch.from_numpy(images)[:, None], torch.tensor(labels)

    def changed(self, epoch: int, position: int) -> npt.NDArray[np.uint8]:
        """The image (S, S) at this position as training sees it in this epoch."""
        image = np.array(self.image(self.members[position]))
        if self.augment:
            image = self.augment(image, self.drawn_as(epoch), position)
        return image

    def drawn_as(self, epoch: int) -> int:
        """The epoch whose changes come in this one."""
        return epoch % self.cycle if self.cycle else epoch


class Subset(Protocol):
    """A subset of a split: images, or what a frozen network makes of them."""

    members: Sequence[Sample]

    def __len__(self) -> int: ...

    def unaugmented(self, positions: Sequence[int]) -> Tensor:
        """What evaluation sees at these positions, (B, ...)."""

    def __getitem__(self, draw: tuple[int, int]) -> Batch:
        """What training sees of (epoch, position), and its label."""
