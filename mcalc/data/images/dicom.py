"""DICOM files to grey pixels.

What stored values mean is settled in `grey_scale`, elements are read in `dicom_tags`, frames are
decoded in `frame_decoders`. Here what they say is held against each other. Headers are read without
pixels.

Every function may be called from several threads at once.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import Decoder
from pydicom.tag import BaseTag
from pydicom.uid import UID

from mcalc.data.images.codestream import Codestream, read_codestream
from mcalc.data.images.dicom_tags import Tags, in_words, read_tags, transfer_syntax
from mcalc.data.images.frame_decoders import frame_decoder
from mcalc.data.images.grey_scale import (
    GREY_SCALE_TAGS,
    BadGreyScale,
    GreyImage,
    display_table,
    is_signed,
    look_up,
)
from mcalc.data.images.unreadable import (
    DOWNLOAD_AGAIN,
    UnreadableImage,
    refuse_damage,
    refuse_giants,
)

_OVERLAY_POSITIONS = [BaseTag(0x60000102 + (group << 16)) for group in range(0, 0x20, 2)]
"""OverlayBitPosition of up to 16 overlays. Before 2004 they lay in unused bits of the pixels."""
_SIZE_TAGS = ["Rows", "Columns", "NumberOfFrames"]
_HEADER_TAGS = [*_SIZE_TAGS, "SeriesDescription"]
_PIXEL_TAGS: list[str | BaseTag] = [
    *_SIZE_TAGS, "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelData", *GREY_SCALE_TAGS, *_OVERLAY_POSITIONS,
]  # fmt: skip
_PHOTOMETRIC = frozenset((
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL",
    "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB",
))  # fmt: skip
"""The words of PS3.3 C.7.6.3.1.2."""
_SPACING_TAGS = [
    "PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor",
    "NominalScannedPixelSpacing",
]  # fmt: skip

_AS_THEY_ARE: dict[str, Any] = {
    "correct_unused_bits": False,
    "apply_j2k_sign_correction": False,
    "apply_jls_sign_correction": False,
}
"""pydicom would drop the bits beyond BitsStored, and so wrap what is too large."""


def dicom_size(path: Path) -> tuple[int, int, str]:
    """Width and height in pixels, and the file's SeriesDescription (empty without one).

    Raises UnreadableImage.
    """
    tags = read_tags(path, _HEADER_TAGS)
    return (*_size(tags, path), tags.text("SeriesDescription"))


def dicom_spacing(path: Path) -> float | None:
    """Width of a pixel in mm (`image_file.pixel_spacing`); None where the header does not say."""
    tags = read_tags(path, _SPACING_TAGS)
    calibrated, detector = _mm(tags, "PixelSpacing"), _mm(tags, "ImagerPixelSpacing")
    if calibrated and not (detector and math.isclose(calibrated, detector, rel_tol=1e-4)):
        return calibrated
    if detector:
        return detector / (_mm(tags, "EstimatedRadiographicMagnificationFactor") or 1.0)
    return _mm(tags, "NominalScannedPixelSpacing")


def _mm(tags: Tags, keyword: str) -> float | None:
    """Mean of an element's numbers, or None where it has none that is above 0."""
    try:
        values = tags.numbers(keyword)
    except UnreadableImage:
        return None
    return float(np.mean(values)) if values and min(values) > 0 else None


def _size(tags: Tags, path: Path) -> tuple[int, int]:
    """(width, height) of the one frame."""
    width, height = tags.integer("Columns"), tags.integer("Rows")
    if width < 1 or height < 1:
        raise UnreadableImage(f"{path} claims {width} x {height} pixels: {DOWNLOAD_AGAIN}")
    frames = tags.integer("NumberOfFrames", default=1)
    if frames != 1:
        raise UnreadableImage(
            f"{path} holds {frames} frames: expected a single image, so export one frame of it"
        )
    refuse_giants(width, height, path)
    return width, height


def read_dicom(path: Path, bits_stored: int | None = None) -> GreyImage:
    """Grey pixels (H, W) as the header asks for them; `image_file.read_image` says how.

    `bits_stored`: of a value, where the header claims more. Raises UnreadableImage.
    """
    # the size is known, and giants refused, before a pixel is read into memory
    width, height, _ = dicom_size(path)
    tags = read_tags(path, _PIXEL_TAGS, pixels=True)
    if "Rows" not in tags.dataset:
        # pydicom gives nothing of a file that ends inside its compressed pixels
        raise UnreadableImage(f"{path} ends before its pixels do: {DOWNLOAD_AGAIN}")
    bits = _grey_depth(tags, path)
    if "PixelData" not in tags.dataset:
        raise UnreadableImage(f"{path} holds no pixels: {DOWNLOAD_AGAIN}")
    syntax = transfer_syntax(tags, path)
    decoder = _decoder(syntax, bits, path)
    stream = _codestream(tags, syntax, path)
    detail = f"transfer syntax {syntax.name}, {bits} bits"
    if stream:
        _check_codestream(stream, tags, (width, height), path, detail)
    with refuse_damage(path, "cannot be decoded", detail):
        if not syntax.is_encapsulated:
            _refuse_surplus(tags, (width, height), path)
        stored, _ = decoder.as_array(_as_understood(tags, (width, height)), **_AS_THEY_ARE)
    if stored.shape != (height, width):
        raise UnreadableImage(
            f"{path} decodes to shape {stored.shape} where its header says {(height, width)}: "
            f"{DOWNLOAD_AGAIN}"
        )
    # the file's bytes are as large as the image, and are not needed from here on
    del tags.dataset.PixelData
    try:
        depth, said_by = _depth(bits, stream, bits_stored)
        values = _within(stored, depth, said_by, _overlay_bits(tags, bits))
        return look_up(display_table(tags, depth), values)
    except BadGreyScale as error:
        raise UnreadableImage(
            f"{path} cannot be shown as its header asks: {error}; export it again"
        ) from error


def _grey_depth(tags: Tags, path: Path) -> int:
    """Bits stored a pixel, once the header describes grey pixels that are understood."""
    photometric = tags.text("PhotometricInterpretation")
    samples = tags.integer("SamplesPerPixel", default=1)
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or samples != 1:
        raise UnreadableImage(
            f"{path} has PhotometricInterpretation {in_words(photometric, _PHOTOMETRIC)} with "
            f"{samples} sample(s) "
            "a pixel: expected a grey DICOM (MONOCHROME1 or MONOCHROME2), so export it as grey"
        )
    is_signed(tags)
    allocated = tags.integer("BitsAllocated")
    stored = tags.integer("BitsStored")
    high = tags.integer("HighBit", default=stored - 1)
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high != stored - 1:
        raise UnreadableImage(
            f"{path} stores bits up to {high}, {stored} of {allocated} a pixel: expected 8 or 16 "
            "bits allocated, filled from the lowest bit; export it as 16-bit grey"
        )
    return stored


def _decoder(syntax: UID, bits: int, path: Path) -> Decoder:
    """Refuse what is known to have no decoder here, before damage is suspected."""
    if decoder := frame_decoder(syntax):
        return decoder
    raise UnreadableImage(
        f"{path} is compressed as {syntax.name} with {bits} bits a pixel, which no installed "
        "decoder reads: convert it to an uncompressed transfer syntax, for example with DCMTK's "
        "dcmdjpeg or with the viewer that it came from"
    )


def _codestream(tags: Tags, syntax: UID, path: Path) -> Codestream | None:
    """What the compressed frame says; None where it is not compressed, or says nothing."""
    if not syntax.is_encapsulated:
        return None
    detail = f"its compressed pixels are not as {syntax.name} packs them"
    with refuse_damage(path, "cannot be decoded", detail):
        return read_codestream(next(generate_frames(tags.dataset.PixelData, number_of_frames=1)))


def _as_understood(tags: Tags, size: tuple[int, int]) -> Dataset:
    """The pixels with what was read of their header: pydicom reads it anew and more narrowly."""
    plain = Dataset()
    plain.file_meta = tags.dataset.file_meta
    plain.set_original_encoding(*tags.dataset.original_encoding)
    plain.Columns, plain.Rows = size
    plain.SamplesPerPixel = plain.NumberOfFrames = 1
    plain.PhotometricInterpretation = tags.text("PhotometricInterpretation")
    plain.PixelRepresentation = int(is_signed(tags))
    plain.BitsAllocated = tags.integer("BitsAllocated")
    plain.BitsStored = tags.integer("BitsStored")
    plain.HighBit = plain.BitsStored - 1
    plain["PixelData"] = tags.dataset["PixelData"]
    return plain


def _refuse_surplus(tags: Tags, size: tuple[int, int], path: Path) -> None:
    """Refuse native pixels of which a whole row or column would be left over.

    A width that is one too small shears the picture. Less than that is how some writers pad.
    """
    width, height = size
    held = len(tags.dataset.PixelData) // (tags.integer("BitsAllocated") // 8)
    if held - width * height >= max(2, min(width, height)):
        raise UnreadableImage(
            f"{path} holds {held} pixels where its header says {width} x {height} "
            f"({width * height}): {DOWNLOAD_AGAIN}"
        )


def _check_codestream(
    stream: Codestream, tags: Tags, size: tuple[int, int], path: Path, detail: str
) -> None:
    """Refuse compressed pixels that contradict the header, before memory is allocated."""
    refuse_giants(stream.width, stream.height, path, stream.scans)
    if (stream.width, stream.height) != size:
        raise UnreadableImage(
            f"{path} holds {stream.width} x {stream.height} compressed pixels where its header "
            f"says {size[0]} x {size[1]}: {DOWNLOAD_AGAIN}"
        )
    if not stream.complete:
        raise UnreadableImage(
            f"{path} cannot be decoded ({detail}): its compressed pixels end before the image "
            f"does; {DOWNLOAD_AGAIN}"
        )
    if stream.signed is not None and stream.signed != is_signed(tags):
        inside, outside = ("signed", "unsigned") if stream.signed else ("unsigned", "signed")
        raise UnreadableImage(
            f"{path} holds {inside} compressed pixels where its header says {outside} "
            "(PixelRepresentation): which is meant cannot be told, so export it again"
        )


def _depth(bits: int, stream: Codestream | None, asked: int | None) -> tuple[int, str]:
    """Bits of a value, the fewest that anything says, and what says so.

    Windows are of stored values whatever their depth. Where there is none, the depth is white.
    """
    said = [(bits, f"{bits} bits of BitsStored")]
    if stream:
        said.append((stream.bits, f"{stream.bits} bits that its compressed pixels declare"))
    if asked:
        said.append((asked, f"{asked} of data.bits_stored"))
    return min(said, key=lambda each: each[0])


def _overlay_bits(tags: Tags, bits: int) -> int:
    """The bits above those stored that overlays lie in, as a mask."""
    allocated = tags.integer("BitsAllocated")
    places = (tags.integer(tag, default=0) for tag in _OVERLAY_POSITIONS)
    return sum(1 << place for place in {*places} if bits <= place < 16 and allocated == 16)


def _within(stored: npt.NDArray[Any], bits: int, said_by: str, overlays: int) -> npt.NDArray[Any]:
    """The values, once none is beyond `bits`; negative ones where they are signed.

    Signed values may be padded with zeros or with their sign (PS3.5 8.1.1). Raises BadGreyScale.
    """
    if overlays:
        unsigned = stored.view(f"u{stored.itemsize}")
        stored = (unsigned & np.array(~overlays & 0xFFFF, "u2")).view(stored.dtype)
    low, high = int(stored.min()), int(stored.max())
    signed = stored.dtype.kind == "i"
    half = 2 ** (bits - 1)
    if signed and low >= 0 and half <= high < 2 * half:
        return np.where(stored >= half, stored.astype(np.int32) - 2 * half, stored)
    top = half - 1 if signed else 2 * half - 1
    if high > top or low < (-half if signed else 0):
        worst = max(high, -low - 1)
        needed = worst.bit_length() + signed
        raise BadGreyScale(
            f"its pixels hold values from {low} to {high}, which take {needed} bits, more than the "
            f"{said_by}"
        )
    return stored
