"""Which of a lesion's files is the crop and which the mask: decided by the files themselves.

Neither folder names nor file names of CBIS-DDSM can be trusted for it (crops lie in folders named
"ROI mask images", and crop and mask are swapped for some rows). A file's own SeriesDescription
comes first; where tags are missing or contradict the sizes, pixels decide: a mask has two values
and the size of the full image, so it is larger than the crop cut out of it.

Not every file is opened for it. Of two files the smaller one is opened first. Where it calls itself
the crop, and the larger one has too many bytes for so few pixels, the larger is the mask and stays
closed (`_settled_by_bytes`). A download of 10,239 files is indexed by opening 1,872.
"""

from __future__ import annotations

import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.data.images import ReadHeader, UnreadableImage, read_header, read_image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RINGING = 0.1
"""How far, as a share of the range, JPEG's artefacts move a mask's pixels from its two values."""
RINGING_SHARE = 0.01
"""Share of a JPEG mask's pixels that artefacts may move further; they follow the outline only."""

BYTES_A_PIXEL = 2.5
"""More than an image file takes for a pixel: 16 bits, and what a lossless code adds at worst."""
FULL_SHARE = 0.75
"""A mask has half the bytes of its 16-bit mammogram; with more than this share it may be one."""


Descriptions = Mapping[tuple[str, str], str]
"""SeriesDescription of image files that carry none, by the names of folder and file."""


class Tag(Enum):
    """What a SeriesDescription says a file is."""

    CROP = auto()
    MASK = auto()
    FULL = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Roles:
    """The files of one lesion by their role."""

    crop: Path | None
    mask: Path | None
    mistagged: bool = False
    """The crop's own description calls it a mask, or the mask's a crop."""
    problem: str | None = None
    """Why there is no crop although there are files."""
    unreadable: bool = False
    """There is no crop because a file could not be read."""
    mask_problem: str | None = None
    """Why there is no mask although there is a file beside the crop."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    area: int
    """Pixels."""
    tag: Tag


def tag_of(description: str | None) -> Tag:
    """`cropped images`, `ROI mask images`, `full mammogram images` as a Tag."""
    text = (description or "").casefold()
    for word, tag in (("crop", Tag.CROP), ("mask", Tag.MASK), ("full", Tag.FULL)):
        if word in text:
            return tag
    return Tag.NOTHING


def tell_apart(
    files: Sequence[Path],
    descriptions: Descriptions,
    full: Path | None = None,
    header_of: ReadHeader = read_header,
) -> Roles:
    """Find the crop and the mask among a lesion's files.

    `descriptions` stands in for the tag of Kaggle's JPEGs; `full` is the mammogram, where it is on
    disk; `header_of` reads a header, or knows it. One header is read where two files' sizes settle
    it, else all, and pixels only where tags leave a doubt. Nothing is raised for files that cannot
    be read: `problem` and `mask_problem` say so.
    """
    settled = _settled_by_bytes(files, descriptions, full, header_of)
    if settled is not None:
        return settled
    candidates, damaged = [], []
    for path in files:
        try:
            candidates.append(_candidate(path, descriptions, header_of))
        except UnreadableImage as error:
            damaged.append(str(error))
    candidates = [each for each in candidates if each.tag is not Tag.FULL]
    crops = [each for each in candidates if each.tag is Tag.CROP]
    masks = [each for each in candidates if each.tag is Tag.MASK]
    tagged = len(crops) == 1 and len(masks) <= 1 and len(candidates) == len(crops) + len(masks)
    if tagged and all(mask.area > crops[0].area for mask in masks):
        mask_problem = damaged[0] if damaged and not masks else None
        return Roles(crops[0].path, masks[0].path if masks else None, mask_problem=mask_problem)
    return _by_content(candidates, damaged)


def _settled_by_bytes(
    files: Sequence[Path], descriptions: Descriptions, full: Path | None, header_of: ReadHeader
) -> Roles | None:
    """Crop and mask of two files of which only the smaller is opened; None where that is not sure.

    A mask is as large as its mammogram and the crop is a part of that. So if the smaller file
    calls itself the crop, and the larger has more bytes than any file of that many pixels can have
    (`BYTES_A_PIXEL`), the larger has more pixels and is not the crop. Nor is it the mammogram if it
    has far fewer bytes than that.

    A compressed mask may be the smaller file. Then it does not call itself a crop, or it has too
    many pixels for the larger one's bytes, and all files are opened.
    """
    if len(files) != 2 or full is None:
        return None
    try:
        sizes = {path: path.stat().st_size for path in (*files, full)}
        small, large = sorted(files, key=sizes.__getitem__)
        smaller = _candidate(small, descriptions, header_of)
    except (OSError, UnreadableImage):
        # opened again with the others, where the defect is reported
        return None
    is_larger = sizes[large] > BYTES_A_PIXEL * smaller.area
    is_no_full = sizes[large] < FULL_SHARE * sizes[full]
    return Roles(small, large) if smaller.tag is Tag.CROP and is_larger and is_no_full else None


def _candidate(path: Path, descriptions: Descriptions, header_of: ReadHeader) -> _Candidate:
    header = header_of(path)
    description = header.description or descriptions.get((path.parent.name, path.name))
    return _Candidate(path, header.width * header.height, tag_of(description))


def _by_content(candidates: Sequence[_Candidate], damaged: list[str]) -> Roles:
    crops: list[_Candidate] = []
    masks: list[_Candidate] = []
    for candidate in candidates:
        try:
            pixels = read_image(candidate.path)
        except UnreadableImage as error:
            damaged.append(str(error))
            continue
        lossy = candidate.path.suffix.lower() in (".jpg", ".jpeg")
        (masks if has_two_values(pixels, lossy) else crops).append(candidate)
    crops = _without_copies(crops)
    if len(crops) + len(masks) == 2 and len(crops) != 1:
        # both look alike: the mask is as large as the full image
        small, large = sorted([*crops, *masks], key=lambda each: each.area)
        if small.area < large.area:
            crops, masks = [small], [large]
    mask = masks[0].path if len(masks) == 1 else None
    if len(crops) == 1:
        crop = crops[0]
        mistagged = crop.tag is Tag.MASK or any(each.tag is Tag.CROP for each in masks)
        mask_problem = damaged[0] if damaged and mask is None else None
        return Roles(crop.path, mask, mistagged=mistagged, mask_problem=mask_problem)
    if damaged:
        return Roles(None, mask, problem=damaged[0], unreadable=True)
    if crops:
        names = ", ".join(each.path.name for each in crops)
        return Roles(None, mask, problem=f"cannot tell which file is the crop: {names}")
    return Roles(None, mask, problem="only a mask is there" if masks else "no crop among the files")


def _without_copies(crops: list[_Candidate]) -> list[_Candidate]:
    """Candidates less those that repeat the first one byte for byte."""
    others = [e for e in crops[1:] if not filecmp.cmp(e.path, crops[0].path, shallow=False)]
    return [*crops[:1], *others]


def has_two_values(pixels: npt.NDArray[np.uint8 | np.uint16], lossy: bool = False) -> bool:
    """Whether an image, shape (H, W), is a mask: at most two values, or near them if `lossy`."""
    low, high = int(pixels.min()), int(pixels.max())
    if not lossy:
        return bool(((pixels == low) | (pixels == high)).all())
    reach = (high - low) * RINGING
    near = (pixels <= low + reach) | (pixels >= high - reach)
    return bool(near.mean() >= 1 - RINGING_SHARE)
