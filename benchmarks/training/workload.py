"""What is trained: the same for us, the peer and the limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = {
    "alexnet": 227,
    "alexnet_bvlc": 227,
    "googlenet": 224,
    "googlenet_bvlc": 224,
    "squeezenet": 224,
}
"""Backbones, and the width of their images."""


@dataclass(frozen=True)
class Workload:
    """A training run with random weights on random images, as the arithmetic is the same."""

    backbone: str
    batch: int = 10
    iterations: int = 12
    val_every: int = 0
    """Iterations between validations, which are also after the first and last; 0 for none."""
    val_images: int = 464
    """The validation images of the paper's protocol on CBIS-DDSM's training crops."""
    place: str = "auto"
    """`augment.place` of mcalc's own run."""

    @property
    def name(self) -> str:
        """As tables show it."""
        run = f", {self.iterations} iterations, validation every {self.val_every}"
        return f"{self.backbone}, batch {self.batch}{run if self.val_every else ''}"

    def images(self) -> tuple[npt.NDArray[np.uint8], list[int]]:
        """Grey crops of training, then of validation, and their labels."""
        draw = np.random.default_rng(0)
        size = SIZES[self.backbone]
        count = self.trained + (self.val_images if self.val_every else self.batch)
        pixels = draw.integers(0, 256, (count, size, size), dtype=np.uint8)
        return pixels, [int(label) for label in draw.integers(0, 2, count)]

    @property
    def trained(self) -> int:
        """Training images: two epochs, as augmentation is drawn anew for each."""
        return self.batch * max(1, self.iterations // 2)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
