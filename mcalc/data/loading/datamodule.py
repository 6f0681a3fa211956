"""Batches for Lightning: grey uint8 crops and labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mcalc.config import AugmentConfig, ProtocolName, TrainerConfig
from mcalc.data.loading.augment import Augment
from mcalc.data.loading.checks import check_trainable
from mcalc.data.loading.length import RunLength, run_length
from mcalc.data.loading.sampler import MiniBatches
from mcalc.data.splits import Sample, Split

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
        images = np.stack([self._image(self.members[position]) for position in positions])
        return torch.from_numpy(images)[:, None]

    def _image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        image: npt.NDArray[np.uint8] = self.images[sample.image]
        if sample.copy and self.copies:
            image = self.copies(np.array(image), sample.copy, sample.image)
        return image

    def __getitem__(self, draw: tuple[int, int]) -> Batch:
        """Image (1, S, S) uint8 and its label."""
        epoch, position = draw
        image = self.changed(epoch, position)
        return torch.from_numpy(image)[None], torch.tensor(self.members[position].label)

    def changed(self, epoch: int, position: int) -> npt.NDArray[np.uint8]:
        """The image (S, S) at this position as training sees it in this epoch."""
        image = np.array(self._image(self.members[position]))
        if self.augment:
            image = self.augment(image, epoch % self.cycle if self.cycle else epoch, position)
        return image


class Subset(Protocol):
    """A subset of a split: images, or what a frozen network makes of them."""

    members: Sequence[Sample]

    def __len__(self) -> int: ...

    def unaugmented(self, positions: Sequence[int]) -> Tensor:
        """What evaluation sees at these positions, (B, ...)."""

    def __getitem__(self, draw: tuple[int, int]) -> Batch:
        """What training sees of (epoch, position), and its label."""


class CropData(pl.LightningDataModule):
    """The subsets of a split as loaders."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        samples: Sequence[Sample],
        split: Split,
        augment: AugmentConfig,
        trainer: TrainerConfig,
        seed: int,
        cycle: int | None = None,
    ) -> None:
        """`cycle`: epochs after which augmentation comes again; None: drawn anew for each."""
        super().__init__()
        check_trainable(split, augment, trainer)
        self.settings = trainer
        self.seed = seed
        self.split_seed = split.seed
        self.start = 0
        """Iterations that a resumed run has done already."""
        copies = Augment(augment, split.seed)
        copied = split.protocol is ProtocolName.paper_augment_first
        # there the copies are the augmentation, made before the split: none is drawn on top
        online = None if copied else Augment(augment, seed)
        self.train: Subset = Crops(images, [samples[i] for i in split.train], online, copies, cycle)
        self.validation: Subset = Crops(
            images, [samples[i] for i in split.validation], None, copies
        )
        self.reported: Subset = Crops(images, [samples[i] for i in split.reported], None, copies)
        self.reported_apart = split.validation != split.reported
        """Whether training looks at nothing of what is reported."""

    def replaced(self, train: Subset, validation: Subset, reported: Subset) -> CropData:
        """The same data with other content for its samples (`mcalc.training.frozen`)."""
        other = copy.copy(self)
        other.train, other.validation, other.reported = train, validation, reported
        return other

    @property
    def length(self) -> RunLength:
        """Length of the whole run."""
        return run_length(len(self.train), self.settings)

    def train_dataloader(self) -> DataLoader[Batch]:
        """The mini-batches of the whole run, one epoch after another, from iteration `start`."""
        how = self.settings
        return DataLoader(
            cast("Dataset[Batch]", self.train),
            batch_sampler=self.mini_batches(),
            generator=_own_generator(),
            num_workers=how.workers,
            pin_memory=torch.cuda.is_available(),
        )

    def mini_batches(self) -> MiniBatches:
        """Epochs and positions of the whole run's mini-batches, from iteration `start`."""
        n, how = len(self.train), self.settings
        return MiniBatches(n, how.batch_size, how.max_epochs, how.shuffle, self.seed, self.start)

    def evaluation_batches(self, subset: Subset) -> Iterator[Tensor]:
        """Images (B, 1, S, S) uint8 of `validation` or `reported`, in the split's order."""
        size = self.settings.eval_batch_size
        for start in range(0, len(subset), size):
            batch = subset.unaugmented(range(start, min(start + size, len(subset))))
            yield batch.pin_memory() if torch.cuda.is_available() else batch


def _own_generator() -> torch.Generator:
    """A loader draws a seed for its workers whenever it is iterated, needed or not.

    From a separate generator, so that neither evaluation nor the number of workers moves the
    global one, from which dropout draws.
    """
    return torch.Generator().manual_seed(0)
