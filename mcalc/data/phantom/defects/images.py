"""Defects of image files: missing, damaged, empty, too large, or stored in an odd way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mcalc.config import DataConfig
from mcalc.data.phantom.defects.editing import claim_a_billion_pixels, editing, overwrite, truncate
from mcalc.data.phantom.defects.target import ExpectedDefect, FoundBy, Plant, Target
from mcalc.data.phantom.dicom import set_pixels
from mcalc.data.phantom.outline import MASK_ON
from mcalc.data.records import DefectKind

_MASK_LACKS = (3, 2)
"""Rows and columns by which a mask is smaller than its image."""
_STORED_BITS = 12
_WINDOWED = (1000, 9191)
"""Lowest and highest stored value of the image that wants its window applied."""
_PADDING = 65_535


def _damaged(
    file: str, damage: Callable[[Path], None], kind: DefectKind, by: FoundBy = FoundBy.INDEX
) -> Plant:
    """A plant that damages one file (`crop`, `mask` or `full`) of its lesion."""

    def plant(target: Target) -> list[ExpectedDefect]:
        damage(getattr(target, file))
        return target.owes(kind, by)

    return plant


def _write_error_page(file: Path) -> None:
    overwrite(file, b"<html><body>503 Service Unavailable</body></html>\n")


def _case_folder_missing(target: Target) -> list[ExpectedDefect]:
    """The mask is missing with it, which matters where it is needed."""
    shutil.rmtree(target.root / target.id)
    mask = target.owes(DefectKind.MASK_MISSING, FoundBy.PATCH)
    return [*target.owes(DefectKind.CROP_MISSING), *mask]


def _crop_not_named(target: Target) -> list[ExpectedDefect]:
    target.record["cropped image file path"] = ""
    return target.owes(DefectKind.CROP_MISSING)


def _mask_empty(target: Target) -> list[ExpectedDefect]:
    with editing(target.mask) as data:
        set_pixels(data, np.zeros_like(data.pixel_array))
    return target.owes(DefectKind.MASK_EMPTY, FoundBy.PATCH)


def _mask_smaller(target: Target) -> list[ExpectedDefect]:
    rows, columns = _MASK_LACKS
    with editing(target.mask) as data:
        set_pixels(data, data.pixel_array[:-rows, :-columns])
    return target.owes(DefectKind.MASK_RESIZED, FoundBy.PATCH)


def _mask_covers_the_image(target: Target) -> list[ExpectedDefect]:
    """An outline that the default window does not hold with its margin, unless the film is tiny."""
    with editing(target.mask) as data:
        pixels = np.full_like(data.pixel_array, MASK_ON)
        pixels[0] = pixels[-1] = 0
        set_pixels(data, pixels)
        height = data.Rows - 2
    window = DataConfig()
    if height + 2 * window.patch_margin <= window.patch_size:
        return []
    return target.owes(DefectKind.PATCH_CUT, FoundBy.PATCH)


def _full_missing(target: Target) -> list[ExpectedDefect]:
    shutil.rmtree(target.root / target.row.image_case)
    return target.owes(DefectKind.FULL_MISSING)


def _hangs_on_the_other_side(target: Target) -> list[ExpectedDefect]:
    """All three images mirrored against the breast that the record names."""
    for file in (target.full, target.crop, target.mask):
        with editing(file) as data:
            set_pixels(data, data.pixel_array[:, ::-1])
    return [ExpectedDefect(target.row.image_case, DefectKind.LATERALITY, FoundBy.FULL)]


def _full_monochrome1(target: Target) -> list[ExpectedDefect]:
    with editing(target.full) as data:
        set_pixels(data, np.invert(data.pixel_array))
        data.PhotometricInterpretation = "MONOCHROME1"
    return []


def _full_12_bit(target: Target) -> list[ExpectedDefect]:
    with editing(target.full) as data:
        set_pixels(data, np.right_shift(data.pixel_array, np.uint16(16 - _STORED_BITS)))
        data.BitsStored, data.HighBit = _STORED_BITS, _STORED_BITS - 1
    return []


def _full_windowed(target: Target) -> list[ExpectedDefect]:
    """Values in a part of the range, and the window (DICOM PS3.3 C.11.2.1.2) that spreads them."""
    low, high = _WINDOWED
    with editing(target.full) as data:
        values = data.pixel_array.astype(np.float64) / 65_535
        set_pixels(data, np.round(low + values * (high - low)).astype(np.uint16))
        # LINEAR: black up to centre - 0.5 - (width - 1) / 2, white (width - 1) above that
        data.WindowWidth = high - low + 1
        data.WindowCenter = low + 0.5 + (high - low) / 2
    return []


def _full_padded(target: Target) -> list[ExpectedDefect]:
    """A margin that does not belong to the image, stored as the brightest value."""
    with editing(target.full) as data:
        pixels = data.pixel_array.copy()
        pixels[pixels == _PADDING] -= 1
        pixels[-max(pixels.shape[0] // 40, 1) :] = _PADDING
        set_pixels(data, pixels)
        data.add_new("PixelPaddingValue", "US", _PADDING)
    return []


IMAGE_PLANTS: tuple[Plant, ...] = (
    _damaged("crop", Path.unlink, DefectKind.CROP_MISSING),
    _case_folder_missing,
    _crop_not_named,
    _damaged("crop", truncate, DefectKind.CROP_UNREADABLE, FoundBy.CROP),
    _damaged("crop", _write_error_page, DefectKind.CROP_UNREADABLE, FoundBy.CROP),
    _damaged("crop", claim_a_billion_pixels, DefectKind.CROP_UNREADABLE, FoundBy.CROP),
    _damaged("mask", Path.unlink, DefectKind.MASK_MISSING),
    _damaged("mask", truncate, DefectKind.MASK_UNREADABLE, FoundBy.PATCH),
    _mask_empty,
    _mask_smaller,
    _mask_covers_the_image,
    _full_missing,
    _damaged("full", truncate, DefectKind.FULL_UNREADABLE, FoundBy.FULL),
    _damaged("full", claim_a_billion_pixels, DefectKind.FULL_UNREADABLE, FoundBy.FULL),
    _hangs_on_the_other_side,
    _full_monochrome1,
    _full_12_bit,
    _full_windowed,
    _full_padded,
)
"""Crops, then masks, then full images."""
