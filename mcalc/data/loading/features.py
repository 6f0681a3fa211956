"""What a frozen network makes of images, in their place: batches of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mcalc.data.loading.crops import Batch
from mcalc.data.splits import Sample


@dataclass(eq=False)
class Features(Dataset[Batch]):
    """Features by (epoch, position), as `Crops` has images."""

    rows: npt.NDArray[np.float32]
    """(copies x n, ...): all members as copy 0 shows them, then as copy 1 does, ..."""
    members: Sequence[Sample]
    copies: int = 1
    """Epoch e sees copy e modulo this number."""

    def __post_init__(self) -> None:
        self.labels = torch.tensor([sample.label for sample in self.members])

    def __len__(self) -> int:
        return len(self.members)

    def unaugmented(self, positions: Sequence[int]) -> Tensor:
        """Features (B, ...) of a subset that is evaluated, at these positions."""
        return torch.from_numpy(self.rows[list(positions)])

    def __getitem__(self, draw: tuple[int, int]) -> Batch:
        """Features (...) and label."""
        features, labels = self.__getitems__([draw])
        return features[0], labels[0]

    def __getitems__(self, draws: Sequence[tuple[int, int]]) -> Batch:
        """Features (B, ...) and labels (B,) of a mini-batch, as a DataLoader asks for it."""
        n = len(self.members)
        chosen = [(epoch % self.copies) * n + position for epoch, position in draws]
        positions = torch.tensor([position for _, position in draws])
        return torch.from_numpy(self.rows[chosen]), self.labels.index_select(0, positions)
