"""Contrast-limited adaptive histogram equalisation (CLAHE), and 8 bits a pixel."""

from __future__ import annotations

import cv2
import numpy as np

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
    """8 bits a pixel, then CLAHE at native size; `pixels` stay as they are.

    `pixels`: (H, W), uint8 or uint16. As adapthisteq, whose histograms have 256 bins over the full
    range whatever the image's class (MathWorks, adapthisteq, NBins). OpenCV would take 65,536 for
    uint16, where a clip limit cuts off next to nothing.
    """
    deep = pixels.dtype == np.uint16
    grey = np.array(look_up(_TO_8_BITS, pixels) if deep else pixels, dtype=np.uint8)
    if clahe.enabled:
        tiles = (clahe.tiles, clahe.tiles)
        equalise = cv2.createCLAHE(clipLimit=clahe.clip_limit, tileGridSize=tiles)
        grey = np.asarray(equalise.apply(grey), dtype=np.uint8)
    return grey
