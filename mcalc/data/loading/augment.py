"""Random changes of training images, reproducible image by image, in one warp.

`mcalc.data.loading.augment_definition` says in albumentations' terms what is drawn, and what it
does. This module does the same in distribution (a test holds one against the other) in a third of
the time: the flips and the affine transform are one matrix, brightness and contrast one table, and
the noise is read from a table. `mcalc.data.loading.augment_on_device` does it for a mini-batch.

Draws are independent of one another. `Compose.set_random_seed` gives every step the same seed, so
that both flips would always be drawn alike, and no image would ever be mirrored.
"""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import AugmentConfig
from mcalc.data.loading.augment_amounts import Amounts, amounts
from mcalc.data.loading.augment_draws import (
    Uniform,
    deviation,
    draw_of,
    flips,
    grey_levels,
    matrix,
    noise_start,
    noise_table,
)

_Image = npt.NDArray[np.uint8]
_MIRRORED = cv2.BORDER_REFLECT_101


class Augment:
    """The paper's list: rotation, flips, scaling, intensity and contrast, noise.

    A draw depends on (seed, epoch, lesion's position) alone: not on how many processes draw, nor on
    what was drawn before, so that a run can be resumed or shared.
    """

    def __init__(self, settings: AugmentConfig, seed: int) -> None:
        self.seed = seed
        self.enabled = settings.enabled
        self.amounts = amounts(settings)
        self._settings = settings

    def __call__(self, image: _Image, epoch: int, position: int) -> _Image:
        """A changed copy of a grey image (H, W), 0..255; the image itself where nothing is on."""
        if not self.enabled:
            return image
        moving, colouring, draw = draw_of(self.seed, epoch, position)
        changed = _moved(np.ascontiguousarray(image), self.amounts, moving)
        return _recoloured(changed, self.amounts, colouring, draw)


def _moved(image: _Image, amount: Amounts, uniform: Uniform) -> _Image:
    """Flips, then scale, rotation and shift about the centre."""
    if not amount.moves:
        flipped = flips(amount, uniform)
        image = image[:, ::-1] if flipped[0] else image
        return image[::-1] if flipped[1] else image
    height, width = image.shape
    source = cv2.invertAffineTransform(matrix(amount, uniform, width, height))
    left, right = _beyond(source[0], width, height, width)
    above, below = _beyond(source[1], width, height, height)
    # mirrored before the warp, which takes half as long again where it has to mirror
    wide = cv2.copyMakeBorder(image, above, below, left, right, _MIRRORED)
    source[:, 2] += (left, above)
    moved: _Image = cv2.warpAffine(  # type: ignore[assignment]
        wide,
        source,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=_MIRRORED,
    )
    return moved


def _beyond(row: npt.NDArray[np.float64], width: int, height: int, size: int) -> tuple[int, int]:
    """How many pixels before 0, and behind the last of `size`, an image (H, W) is read from.

    One more at either end, as is read for interpolation. `row` (3,) is a line of the matrix from a
    pixel (x, y, 1) to its source.
    """
    by_x, by_y, start = row.tolist()
    x, y = (width - 1) / 2, (height - 1) / 2
    centre = by_x * x + by_y * y + start
    reach = abs(by_x) * x + abs(by_y) * y
    return max(0, ceil(reach - centre) + 1), max(0, ceil(centre + reach) + 2 - size)


def _recoloured(
    image: _Image, amount: Amounts, uniform: Uniform, draw: np.random.Generator
) -> _Image:
    """Contrast and brightness, then noise."""
    image = np.ascontiguousarray(image)
    if amount.recolours:
        image = cv2.LUT(image, grey_levels(amount, uniform))  # type: ignore[assignment]
    if amount.noise:
        # whole levels, cut towards 0, as albumentations adds them
        start = noise_start(image.size, draw)
        noise = noise_table(image.size)[start : start + image.size].reshape(image.shape)
        whole = (noise * deviation(amount, uniform)).astype(np.int16)
        image = cv2.add(image, whole, dtype=cv2.CV_8U)  # type: ignore[assignment]
    return image
