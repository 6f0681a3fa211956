"""The outline of a phantom's lesion: what its mask shows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

MASK_ON = 255
_LOBES = range(2, 7)
"""Waves around the outline; the first harmonic would only shift it."""
_CORNERS = 90


def outline_mask(shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """An irregular blob without holes that touches all four edges of its box.

    Args:
        shape: rows and columns of the box, pixels, 2 or more.
        rng: where its waves come from.

    Returns:
        uint8 of that shape: `MASK_ON` inside, 0 outside.
    """
    height, width = shape
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    radius = np.ones_like(angle)
    for waves in _LOBES:
        radius += rng.normal(0, 0.16 / waves) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.4, None)
    corners = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    # stretches its box to the box asked for, from the first pixel to the last
    corners -= corners.min(axis=0)
    corners *= (np.array([width, height]) - 1) / corners.max(axis=0)
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32).reshape(-1, 1, 2)], MASK_ON)
    return mask
