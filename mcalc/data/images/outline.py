"""A lesion's outline as its network image has it: for questions after training, not for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import DataConfig, Region
from mcalc.data.images.image_file import image_size, read_image
from mcalc.data.images.regions import Unusable, cut, mm_per_pixel, read_source
from mcalc.data.images.resize import Grey8, fit
from mcalc.data.images.unreadable import UnreadableImage
from mcalc.data.records import Lesion

_LARGEST_STRETCH = 0.02
"""Share by which a crop may be stretched against its mask's bounding box and still be that box."""


def prepared_outline(lesion: Lesion, size: int, settings: DataConfig) -> Grey8 | None:
    """(size, size), 255 on the lesion and 0 beside it, or None where that is not known.

    Known are windows (region=patch), which are cut out by the mask, and crops of their mask's
    bounding box, whatever their resolution. A crop of another shape has a margin, and no file says
    on which side. On whole mammograms (region=full) outlines are not looked for.
    """
    if lesion.mask is None or settings.region is Region.full:
        return None
    with suppress(Unusable, UnreadableImage):
        outline = (
            _on_crop(lesion) if settings.region is Region.crop else _on_window(lesion, settings)
        )
        if outline is not None:
            source = lesion.crop if settings.region is Region.crop else lesion.full
            scale = settings.native_scale
            if source is not None:
                scale *= mm_per_pixel(source, settings) or 1.0
            fitted = fit(outline, size, settings.fit, scale)
            return np.asarray(np.where(fitted > 127, 255, 0), dtype=np.uint8)
    return None


def _on_window(lesion: Lesion, settings: DataConfig) -> Grey8:
    source = read_source(lesion, settings)
    assert source.mask is not None  # of region=patch
    height, width = source.pixels.shape
    white = np.asarray(source.mask, dtype=np.uint8) * 255
    whole = cv2.resize(white, (width, height), interpolation=cv2.INTER_NEAREST)
    region = cut(replace(source, pixels=np.asarray(whole, dtype=np.uint8)), lesion, settings)
    framed = cv2.copyMakeBorder(region.pixels, *region.padding, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(framed, dtype=np.uint8)


def _on_crop(lesion: Lesion) -> Grey8 | None:
    if lesion.crop is None or lesion.mask is None:
        return None
    shown = read_image(lesion.mask)
    mask: npt.NDArray[np.uint8] = np.asarray(shown > shown.max() // 2, dtype=np.uint8) * 255
    left, top, width, height = (int(edge) for edge in cv2.boundingRect(mask))
    size = image_size(lesion.crop)
    if not width or abs(size[0] * height / (size[1] * width) - 1) > _LARGEST_STRETCH:
        return None
    box = mask[top : top + height, left : left + width]
    return np.asarray(cv2.resize(box, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
