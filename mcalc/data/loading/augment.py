"""Random changes of training images, reproducible image by image, in one warp.

`mcalc.data.loading.augment_definition` says in albumentations' terms what is drawn, and what it
does. This module does the same in distribution (a test holds one against the other) in a third of
the time: the flips and the affine transform are one matrix, brightness and contrast one table, and
the noise is read from a table.

Draws are independent of one another. `Compose.set_random_seed` gives every step the same seed, so
that both flips would always be drawn alike, and no image would ever be mirrored.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import AugmentConfig
from mcalc.data.loading.augment_amounts import Amounts, amounts

_Image = npt.NDArray[np.uint8]
_TABLE_NUMBERS = 2**20
"""Of the noise table, where images are not larger."""


class Augment:
    """The paper's list: rotation, flips, scaling, intensity and contrast, noise.

    A draw depends on (seed, epoch, lesion's position) alone: not on how many processes draw, nor on
    what was drawn before, so that a run can be resumed or shared.
    """

    def __init__(self, settings: AugmentConfig, seed: int) -> None:
        self.seed = seed
        self.enabled = settings.enabled
        self._settings = settings
        self._amounts = amounts(settings)

    def __call__(self, image: _Image, epoch: int, position: int) -> _Image:
        """A changed copy of a grey image (H, W), 0..255; the image itself where nothing is on."""
        if not self.enabled:
            return image
        seeds = np.random.SeedSequence([self.seed, epoch, position])
        draw = np.random.Generator(np.random.PCG64(seeds))
        # one draw for each amount, whichever are on: what is switched off moves no other
        uniform = draw.random(10)
        changed = _moved(np.ascontiguousarray(image), self._amounts, uniform[:7])
        return _recoloured(changed, self._amounts, uniform[7:], draw)


def _moved(image: _Image, amount: Amounts, uniform: npt.NDArray[np.float64]) -> _Image:
    """Flips, then scale, rotation and shift about the centre."""
    flips = (
        amount.flip_horizontal and uniform[0] < 0.5,
        amount.flip_vertical and uniform[1] < 0.5,
    )
    if not amount.moves:
        image = image[:, ::-1] if flips[0] else image
        return image[::-1] if flips[1] else image
    height, width = image.shape
    scale_x, scale_y = 1 + amount.scale * (2 * uniform[2:4] - 1)
    angle = np.deg2rad(amount.rotation * (2 * uniform[4] - 1))
    # whole pixels, as albumentations shifts
    shift_x, shift_y = np.trunc(amount.translate * (2 * uniform[5:7] - 1) * (width, height))
    x, y = (width - 1) / 2, (height - 1) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.array([[cosine, sine], [-sine, cosine]]) * (
        -scale_x if flips[0] else scale_x,
        -scale_y if flips[1] else scale_y,
    )
    matrix = np.empty((2, 3))
    matrix[:, :2] = turned
    matrix[:, 2] = np.array([x + shift_x, y + shift_y]) - turned @ (x, y)
    moved: _Image = cv2.warpAffine(  # type: ignore[assignment]
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return moved


def _recoloured(
    image: _Image,
    amount: Amounts,
    uniform: npt.NDArray[np.float64],
    draw: np.random.Generator,
) -> _Image:
    """Contrast and brightness, then noise."""
    contrast = 1 + amount.contrast * (2 * uniform[0] - 1)
    brightness = 255 * amount.brightness * (2 * uniform[1] - 1)
    deviation = 255 * amount.noise * uniform[2]
    image = np.ascontiguousarray(image)
    if amount.contrast or amount.brightness:
        levels = np.arange(256, dtype=np.float32) * contrast + brightness
        image = cv2.LUT(image, levels.clip(0, 255).astype(np.uint8))  # type: ignore[assignment]
    if amount.noise:
        # whole levels, cut towards 0, as albumentations adds them
        noise = (_noise(image.shape, draw) * np.float32(deviation)).astype(np.int16)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)  # type: ignore[assignment]
    return image


def _noise(shape: tuple[int, ...], draw: np.random.Generator) -> npt.NDArray[np.float32]:
    """Standard normal numbers (H, W), from a random place of a table.

    Drawing fifty thousand takes longer than all the rest. A table of a million has as many
    fields as places; albumentations seeds one of 65,536.
    """
    size = int(np.prod(shape))
    table = _normal_numbers(max(_TABLE_NUMBERS, 2 * size))
    start = int(draw.integers(table.size - size + 1))
    return table[start : start + size].reshape(shape)


@lru_cache(maxsize=2)
def _normal_numbers(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(count, dtype=np.float32)
