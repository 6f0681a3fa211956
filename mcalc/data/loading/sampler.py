"""In which order images come: a function of seed and iteration, so that a run can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from mcalc.config import Shuffle

Draw = tuple[int, int]
"""Epoch and position: with the seed, all that an image's augmentation depends on."""


def epoch_order(n: int, shuffle: Shuffle, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Positions 0..n-1 in the order of one epoch, as MATLAB's Shuffle option."""
    if shuffle is Shuffle.never:
        return np.arange(n)
    drawn = epoch if shuffle is Shuffle.every_epoch else 0
    return np.random.default_rng([seed, drawn]).permutation(n)


@dataclass(eq=False)
class MiniBatches(Sampler[list[Draw]]):
    """The mini-batches of a whole training run, from iteration `start` (0 for all) to its end.

    One after another over all epochs; of each epoch a last partial batch is dropped, as
    trainNetwork does. Batch k is the same wherever a run starts.
    """

    n: int
    batch_size: int
    epochs: int
    shuffle: Shuffle
    seed: int
    start: int = 0

    def __len__(self) -> int:
        return self.n // self.batch_size * self.epochs - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        per_epoch = self.n // self.batch_size
        for iteration in range(self.start, per_epoch * self.epochs):
            epoch, batch = divmod(iteration, per_epoch)
            if batch == 0 or iteration == self.start:
                order = epoch_order(self.n, self.shuffle, self.seed, epoch)
            positions = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, int(position)) for position in positions]
