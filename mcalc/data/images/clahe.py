"""Contrast-limited adaptive histogram equalisation (CLAHE), and 8 bits a pixel."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import ClaheConfig
from mcalc.data.images.grey_scale import GreyImage, look_up
from mcalc.data.images.regions import Cut
from mcalc.data.images.resize import Grey8

# 65535 / 257 = 255: the full range onto the full range
_TO_8_BITS = np.rint(np.arange(65536) / 257.0).astype(np.uint8)


def enhance_region(region: Cut, clahe: ClaheConfig) -> Grey8:
    """CLAHE on what the region's image holds, then black where it holds nothing.

    Returns uint8 of (h, w) and the region's padding.
    """
    enhanced = enhance(region.pixels, clahe)
    if region.inside is not None:
        enhanced[~region.inside] = 0
    if any(region.padding):
        framed = cv2.copyMakeBorder(enhanced, *region.padding, cv2.BORDER_CONSTANT, value=0)
        enhanced = np.asarray(framed, dtype=np.uint8)
    return enhanced


def enhance(pixels: GreyImage, clahe: ClaheConfig) -> Grey8:
    """CLAHE at native size and depth, then 8 bits; `pixels` stay as they are.

    `pixels`: (H, W), uint8 or uint16. As adapthisteq, which works on the image's own class.
    """
    equalised: npt.NDArray[Any] = pixels
    if clahe.enabled:
        tiles = (clahe.tiles, clahe.tiles)
        equalised = cv2.createCLAHE(clipLimit=clahe.clip_limit, tileGridSize=tiles).apply(pixels)
    if equalised.dtype == np.uint16:
        return np.asarray(look_up(_TO_8_BITS, equalised), dtype=np.uint8)
    return equalised.astype(np.uint8)
