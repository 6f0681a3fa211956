"""Augmentation with everything off, and both that compute it: image by image, and on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from mcalc.config import AugmentConfig
from mcalc.data.loading.augment import Augment
from mcalc.data.loading.crops import Crops
from mcalc.data.loading.device_crops import on_device
from mcalc.data.splits import Sample

Image = npt.NDArray[np.uint8]
Changed = Callable[[AugmentConfig, int, Image, Sequence[tuple[int, int]]], list[Image]]
"""Settings, a seed, an image, and (epoch, position) of each draw: the changed images."""

NOTHING = AugmentConfig(
    rotation=0,
    flip_horizontal=False,
    flip_vertical=False,
    scale=0,
    translate=0,
    brightness=0,
    contrast=0,
    noise=0,
)


def one_by_one(
    settings: AugmentConfig, seed: int, image: Image, draws: Sequence[tuple[int, int]]
) -> list[Image]:
    augment = Augment(settings, seed)
    return [augment(image, epoch, position) for epoch, position in draws]


def at_once(
    settings: AugmentConfig, seed: int, image: Image, draws: Sequence[tuple[int, int]]
) -> list[Image]:
    """On the CPU as the device, in mini-batches of a hundred."""
    members = [Sample("x", 0, 0, "p", "x")] * (1 + max(position for _, position in draws))
    crops = Crops(image[None], members, Augment(settings, seed))
    (there,) = on_device([crops], torch.device("cpu"))
    found: list[Image] = []
    for start in range(0, len(draws), 100):
        images, _ = there.made(there.recipes.__getitems__(draws[start : start + 100]))
        found += list(images[:, 0].numpy())
    return found


WAYS = {"one by one": one_by_one, "on a device": at_once}
