"""What is drawn for an image and what follows from it, whoever changes the pixels.

A draw depends on (seed, epoch, position) alone. Ten numbers are drawn first, one for each amount
whichever are on, so that what is switched off moves no other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mcalc.data.loading.augment_amounts import Amounts

Uniform = npt.NDArray[np.float64]
_TABLE_NUMBERS = 2**20
"""Of the noise table, where images are not larger."""


class Draw(NamedTuple):
    """The random numbers of one image."""

    moving: Uniform
    """(7,): two flips, two scales, rotation, two shifts."""
    colouring: Uniform
    """(3,): contrast, brightness, noise."""
    more: np.random.Generator
    """For all that follows."""


def draw_of(seed: int, epoch: int, position: int) -> Draw:
    """The random numbers of the image at a position in an epoch."""
    seeds = np.random.SeedSequence([seed, epoch, position])
    draw = np.random.Generator(np.random.PCG64(seeds))
    uniform = draw.random(10)
    return Draw(uniform[:7], uniform[7:], draw)


def flips(amount: Amounts, moving: Uniform) -> tuple[bool, bool]:
    """Whether left and right, and top and bottom, change places."""
    return (
        bool(amount.flip_horizontal and moving[0] < 0.5),
        bool(amount.flip_vertical and moving[1] < 0.5),
    )


def matrix(amount: Amounts, moving: Uniform, width: int, height: int) -> npt.NDArray[np.float64]:
    """(2, 3): from a pixel (x, y) of the image to where it goes.

    Flips, then scale, rotation and shift about the centre.
    """
    flipped = flips(amount, moving)
    scale_x, scale_y = 1 + amount.scale * (2 * moving[2:4] - 1)
    angle = np.deg2rad(amount.rotation * (2 * moving[4] - 1))
    # whole pixels, as albumentations shifts
    shift_x, shift_y = np.trunc(amount.translate * (2 * moving[5:7] - 1) * (width, height))
    x, y = (width - 1) / 2, (height - 1) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.array([[cosine, sine], [-sine, cosine]]) * (
        -scale_x if flipped[0] else scale_x,
        -scale_y if flipped[1] else scale_y,
    )
    found = np.empty((2, 3))
    found[:, :2] = turned
    found[:, 2] = np.array([x + shift_x, y + shift_y]) - turned @ (x, y)
    return found


def grey_levels(amount: Amounts, colouring: Uniform) -> npt.NDArray[np.uint8]:
    """(256,): what contrast and brightness make of each grey level."""
    contrast = 1 + amount.contrast * (2 * colouring[0] - 1)
    brightness = 255 * amount.brightness * (2 * colouring[1] - 1)
    levels = np.arange(256, dtype=np.float32) * contrast + brightness
    found: npt.NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8)
    return found


def deviation(amount: Amounts, colouring: Uniform) -> np.float32:
    """The noise's standard deviation, in grey levels."""
    return np.float32(255 * amount.noise * colouring[2])


def noise_start(size: int, more: np.random.Generator) -> int:
    """Where in `noise_table` the noise of an image of so many pixels begins.

    Drawing fifty thousand normal numbers takes longer than all the rest. A table of a million has
    as many fields as places; albumentations seeds one of 65,536.
    """
    return int(more.integers(noise_table(size).size - size + 1))


def noise_table(size: int) -> npt.NDArray[np.float32]:
    """Standard normal numbers, enough for images of so many pixels."""
    return _normal_numbers(max(_TABLE_NUMBERS, 2 * size))


@lru_cache(maxsize=2)
def _normal_numbers(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(count, dtype=np.float32)
