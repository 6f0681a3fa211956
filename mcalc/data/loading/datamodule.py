"""Batches for Lightning: grey uint8 crops and labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mcalc.config import AugmentConfig, ProtocolName, TrainerConfig
from mcalc.data.loading.augment import Augment
from mcalc.data.loading.augment_batch import Changes
from mcalc.data.loading.checks import check_trainable
from mcalc.data.loading.crops import Batch, Crops, Subset
from mcalc.data.loading.device_crops import DeviceCrops
from mcalc.data.loading.length import RunLength, run_length
from mcalc.data.loading.sampler import MiniBatches
from mcalc.data.splits import Sample, Split


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

    def train_dataloader(self) -> DataLoader[Any]:
        """The mini-batches of the whole run, one epoch after another, from iteration `start`.

        Where images lie on a device, what is to become of them: `on_after_batch_transfer` does it.
        """
        how, train = self.settings, self.train
        return DataLoader(
            cast("Dataset[Batch]", train.recipes if isinstance(train, DeviceCrops) else train),
            batch_sampler=self.mini_batches(),
            collate_fn=_as_it_is,
            generator=_own_generator(),
            num_workers=how.workers,
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The mini-batch (B, 1, S, S), labels (B,) that a recipe makes, on the device."""
        if isinstance(batch, Changes):
            assert isinstance(self.train, DeviceCrops)  # whose recipes they are
            return self.train.made(batch)
        return batch

    def mini_batches(self) -> MiniBatches:
        """Epochs and positions of the whole run's mini-batches, from iteration `start`."""
        n, how = len(self.train), self.settings
        return MiniBatches(n, how.batch_size, how.max_epochs, how.shuffle, self.seed, self.start)

    def evaluation_batches(self, subset: Subset) -> Iterator[Tensor]:
        """Images (B, 1, S, S) uint8 of `validation` or `reported`, in the split's order."""
        size = self.settings.eval_batch_size
        for start in range(0, len(subset), size):
            batch = subset.unaugmented(range(start, min(start + size, len(subset))))
            here = batch.device.type == "cpu"
            yield batch.pin_memory() if here and torch.cuda.is_available() else batch


def _as_it_is(batch: Any) -> Any:
    """A mini-batch is whole when its subset gives it: nothing is left to collate."""
    return batch


def _own_generator() -> torch.Generator:
    """A loader draws a seed for its workers whenever it is iterated, needed or not.

    From a separate generator, so that neither evaluation nor the number of workers moves the
    global one, from which dropout draws.
    """
    return torch.Generator().manual_seed(0)
