"""A region's pixels to the network's square input."""

from __future__ import annotations

import math
from typing import assert_never

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import Fit

Grey8 = npt.NDArray[np.uint8]


def fit(pixels: Grey8, size: int, how: Fit = Fit.stretch, scale: float = 1.0) -> Grey8:
    """`pixels` (H, W) to (size, size), uint8.

    - `stretch`: to the square, aspect and scale lost.
    - `letterbox`: the longer edge to `size`, centred on black; scale lost.
    - `native`: by `scale` (network pixels a pixel of the image) whatever the size, to the nearest
      pixel; centred on black where smaller than the square, cut to its middle where larger.

    Area average where it shrinks, bilinear where it grows.
    """
    match how:
        case Fit.stretch:
            return _resize(pixels, size, size)
        case Fit.letterbox:
            return _centre(_scaled(pixels, size / max(pixels.shape)), size)
        case Fit.native:
            # only what will be seen is resized: a mammogram that grows would not fit into memory
            seen = _middle(pixels, max(1, math.ceil(size / scale)))
            return _centre(_scaled(seen, scale), size)
        case other:
            assert_never(other)


def _scaled(pixels: Grey8, scale: float) -> Grey8:
    height, width = (max(1, round(length * scale)) for length in pixels.shape)
    return _resize(pixels, width, height)


def _resize(pixels: Grey8, width: int, height: int) -> Grey8:
    if pixels.shape == (height, width):
        return pixels
    shrinks = max(pixels.shape) > max(height, width)
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), dtype=np.uint8)


def _middle(pixels: Grey8, edge: int) -> Grey8:
    """At most `edge` rows and columns of the middle."""
    height, width = pixels.shape
    top, left = max(0, (height - edge) // 2), max(0, (width - edge) // 2)
    return pixels[top : top + edge, left : left + edge]


def _centre(pixels: Grey8, size: int) -> Grey8:
    """(size, size): on black where smaller, its middle where larger."""
    seen = _middle(pixels, size)
    height, width = seen.shape
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size), dtype=np.uint8)
    square[top : top + height, left : left + width] = seen
    return square
