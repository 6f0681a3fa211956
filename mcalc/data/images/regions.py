"""What of a mammogram a network is shown: TCIA's crop, a window at fixed scale, the whole breast.

A crop's size separates malignant from benign with an AUC of about 0.70 in CBIS-DDSM, as TCIA cut
each crop to its lesion. A window (`patch`) has one size for all, and a lesion of twice the size is
twice as large in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, assert_never

import cv2
import numpy as np
import numpy.typing as npt

from mcalc.config import DataConfig, Fit, Region, ScaleUnit
from mcalc.data.images.breast import NoBreast, find_breast
from mcalc.data.images.grey_scale import GreyImage
from mcalc.data.images.image_file import image_size, pixel_spacing, read_image
from mcalc.data.images.unreadable import UnreadableImage
from mcalc.data.records import LOSING_DEFECTS, Defect, DefectKind, Lesion, Side, needed_files
from mcalc.errors import UserError

LARGEST_MISMATCH = 0.05
"""Share by which a mask's width or height may differ from its image's and still be stretched."""

_Read = TypeVar("_Read")


class Unusable(Exception):  # noqa: N818 - read as a sentence: `except Unusable`
    """A lesion whose region cannot be cut; carries its row of the ledger."""

    def __init__(self, kind: DefectKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail

    def defect(self, lesion: str) -> Defect:
        """The row of the ledger."""
        return Defect(lesion, self.kind, self.detail, "excluded")


class UnknownPixelSizeError(UserError):
    """A size is asked for in mm, and nothing says how large a file's pixels are."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """The decoded files of a lesion's region."""

    pixels: GreyImage
    """(H, W) of the file that the region is cut from: the crop, or the full image."""
    mask: npt.NDArray[np.bool_] | None
    """region=patch: (h, w), True on the lesion; a few pixels off the image's size, maybe."""
    mm_per_pixel: float | None
    """Width of a pixel; None where data.scale_unit does not ask for it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A region at its image's size and depth."""

    pixels: GreyImage
    """(h, w), bright = dense tissue."""
    inside: npt.NDArray[np.bool_] | None = None
    """region=full: (h, w), False on the background, which is black."""
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Black rows and columns to add after CLAHE: top, bottom, left, right."""
    lesion_size: tuple[int, int] | None = None
    """region=patch: width and height of the mask's bounding box, pixels of the image."""
    unused_bits: int = 0
    """Highest bits of the image file's values that none of them uses."""
    wall: Side | None = None
    """region=full: where the chest wall lay before it was put on the left; None: not known."""
    defects: tuple[Defect, ...] = ()
    """What must be known of a region that is used all the same."""


def region_files(lesion: Lesion, region: Region) -> dict[str, Path]:
    """The files that are decoded for the region, by `Lesion`'s field; first the one it is cut from.

    Raises Unusable where one is not on disk.
    """
    found: dict[str, Path] = {}
    for name, path in needed_files(lesion, region).items():
        if path is None:
            raise Unusable(LOSING_DEFECTS[name][0], "not on disk")
        found[name] = path
    return found


def decoded_pixels(lesion: Lesion, region: Region) -> int:
    """Pixels of the largest file that `read_source` will decode, by its header. Raises Unusable.

    The largest and not the sum, as files are decoded one after another.
    """
    files = region_files(lesion, region)
    return max(math.prod(_or_unusable(image_size, files, name)) for name in files)


def read_source(lesion: Lesion, settings: DataConfig) -> DecodedImage:
    """Decode the files of a lesion's region.

    Raises Unusable for what is not on disk or cannot be read, and UserError where sizes are asked
    for in mm and neither the file nor `data.pixel_size` says how large a pixel is.
    """
    files = region_files(lesion, settings.region)
    mask = None
    if "mask" in files:
        # before the full image, so that a broken mask costs nothing
        shown = _or_unusable(read_image, files, "mask")
        # JPEG blurs a mask's edge, and its white may be 1, 255 or 65535
        mask = np.asarray(shown > shown.max() // 2, dtype=np.bool_)
    cut_from = next(iter(files))
    read = partial(read_image, bits_stored=settings.bits_stored)
    pixels = _or_unusable(read, files, cut_from)
    return DecodedImage(pixels, mask, mm_per_pixel(files[cut_from], settings))


def mm_per_pixel(path: Path, settings: DataConfig) -> float | None:
    """Width of the file's pixels where a size is asked for in mm, else None. Raises UserError."""
    sized = settings.region is Region.patch or settings.fit is Fit.native
    if settings.scale_unit is not ScaleUnit.mm or not sized:
        return None
    found = pixel_spacing(path) or settings.pixel_size
    if found is None:
        raise UnknownPixelSizeError(
            f"data.scale_unit=mm, but {path.name} does not say how large its pixels are: name "
            "data.pixel_size=MM (DDSM's scanners had 0.042, 0.0435 and 0.05), or take "
            "data.scale_unit=pixels"
        )
    return found


def cut(source: DecodedImage, lesion: Lesion, settings: DataConfig) -> Cut:
    """The region of one lesion; of `source`, nothing is changed.

    Raises Unusable, also for a region whose pixels show one of CLAHE's 256 greys.
    """
    match settings.region:
        case Region.crop:
            region = Cut(source.pixels)
        case Region.patch:
            region = _patch(source, lesion, settings)
        case Region.full:
            region = _whole_breast(source.pixels)
        case other:
            assert_never(other)
    low, high = int(region.pixels.min()), int(region.pixels.max())
    if low == high:
        raise Unusable(DefectKind.BLANK, f"every pixel has the value {low}")
    depth, brightest = 8 * source.pixels.itemsize, int(source.pixels.max())
    # darker ones are told by their unused bits: all may become grey with data.bits_stored
    if high - low < 2 ** (depth - 8) <= brightest:
        detail = f"values from {low} to {high} lie within one of 256 greys"
        raise Unusable(DefectKind.BLANK, detail)
    return replace(region, unused_bits=depth - brightest.bit_length())


def _patch(source: DecodedImage, lesion: Lesion, settings: DataConfig) -> Cut:
    """A square window centred on the mask's bounding box, moved to stay on the image."""
    height, width = source.pixels.shape
    assert source.mask is not None
    unit = source.mm_per_pixel or 1.0
    edge = max(1, round(settings.patch_size / unit))
    box, defects = _lesion_box(source.mask, (width, height), lesion)
    longest = max(box[2], box[3])
    if longest + 2 * settings.patch_margin / unit > edge:
        detail = (
            f"{box[2]} x {box[3]} pixels with a margin of {settings.patch_margin:g} "
            f"{settings.scale_unit} do not fit a window of {edge} pixels"
        )
        action = "centred on the lesion; what is outside is cut off"
        defects.append(Defect(lesion.id, DefectKind.PATCH_CUT, detail, action))
    left, right = _span(box[0] + box[2] / 2, edge, width)
    top, bottom = _span(box[1] + box[3] / 2, edge, height)
    seen = source.pixels[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    padding = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    seen = np.ascontiguousarray(seen)
    return Cut(seen, padding=padding, lesion_size=(box[2], box[3]), defects=tuple(defects))


def _span(centre: float, edge: int, length: int) -> tuple[int, int]:
    """First and one past the last pixel of a window: on the image, or around it if that is less."""
    start = round(centre - edge / 2)
    start = min(max(start, min(0, length - edge)), max(0, length - edge))
    return start, start + edge


def _lesion_box(
    mask: npt.NDArray[np.bool_], size: tuple[int, int], lesion: Lesion
) -> tuple[tuple[int, int, int, int], list[Defect]]:
    """Left, top, width and height of the lesion on an image of `size` (width, height)."""
    height, width = mask.shape
    across, down = size[0] / width, size[1] / height
    if max(abs(across - 1), abs(down - 1)) > LARGEST_MISMATCH:
        detail = f"the mask has {width} x {height} pixels where its image has {size[0]} x {size[1]}"
        raise Unusable(DefectKind.MASK_UNREADABLE, detail)
    left, top, w, h = (int(edge) for edge in cv2.boundingRect(mask.astype(np.uint8)))
    if w == 0:
        raise Unusable(DefectKind.MASK_EMPTY, "no pixel of the mask is on the lesion")
    if (width, height) == size:
        return (left, top, w, h), []
    detail = f"{width} x {height} pixels where the image has {size[0]} x {size[1]}"
    note = Defect(lesion.id, DefectKind.MASK_RESIZED, detail, "stretched to the image")
    corner = (round(left * across), round(top * down))
    return (*corner, max(1, round(w * across)), max(1, round(h * down))), [note]


def _whole_breast(pixels: GreyImage) -> Cut:
    """The breast's bounding box, background black, chest wall on the left."""
    try:
        breast = find_breast(pixels)
    except NoBreast as error:
        raise Unusable(DefectKind.FULL_UNREADABLE, "no breast found on the full image") from error
    height, width = breast.inside.shape
    # a copy, so that the rest of the image can be let go
    shown = pixels[breast.top : breast.top + height, breast.left : breast.left + width].copy()
    inside = breast.inside
    shown[~inside] = 0
    if breast.wall is Side.RIGHT:
        shown, inside = np.ascontiguousarray(shown[:, ::-1]), np.ascontiguousarray(inside[:, ::-1])
    return Cut(shown, inside=inside, wall=breast.wall)


def _or_unusable(read: Callable[[Path], _Read], files: Mapping[str, Path], name: str) -> _Read:
    """Failures are kept with the prepared images, and so without the data's absolute path."""
    path = files[name]
    try:
        return read(path)
    except UnreadableImage as error:
        detail = str(error).replace(str(path), f"{path.parent.name}/{path.name}")
        raise Unusable(LOSING_DEFECTS[name][1], detail) from error
