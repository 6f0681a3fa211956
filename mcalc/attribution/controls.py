"""Maps that a heat map has to be better than: of a network that learnt nothing, and of none.

J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: a map that stays as it is when
the network's last layers are drawn anew shows the image, not what was learnt. And where lesions lie
in the middle, as in crops that were cut around them, a blob in the middle finds them.
"""

from __future__ import annotations

import copy
import re

import numpy as np
import numpy.typing as npt
import torch

from mcalc.models.saved import SavedNetwork
from mcalc.models.weights import initialise

STAGES = 3
"""Stages that `randomised` draws anew: the head and two below it."""
SPREAD = 0.25
"""Standard deviation of `centre_blob`, as a share of the image's height and width."""


def randomised(network: SavedNetwork, seed: int, stages: int = STAGES) -> SavedNetwork:
    """A copy of a network whose last stages, head included, are drawn anew (Glorot).

    Raises UserError for layers that `initialise` has no rule for.
    """
    other = copy.deepcopy(network)
    patterns = [re.compile(pattern) for pattern in network.stages[-stages:]]
    stream = torch.Generator().manual_seed(seed)
    for name, module in other.model.named_modules():
        leaf = not any(module.children())
        if leaf and any(pattern.match(f"{name}.") for pattern in patterns):
            initialise(module, stream)
    return other


def centre_blob(n: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A Gaussian in the middle of each of `n` images of (height, width) `size`, 0..1."""
    across = (np.arange(length) - (length - 1) / 2 for length in size)
    down, right = (
        np.exp(-0.5 * (place / (SPREAD * length)) ** 2)
        for place, length in zip(across, size, strict=True)
    )
    blob = np.outer(down, right)
    return np.repeat((blob / blob.max()).astype(np.float32)[None], n, axis=0)


def random_pixels(n: int, size: tuple[int, int], seed: int) -> npt.NDArray[np.float32]:
    """Heat drawn for each pixel, uniform on 0..1; shape (n, height, width)."""
    return np.random.default_rng(seed).random((n, *size), dtype=np.float32)
