"""Image files to grey pixels: DICOM, JPEG and PNG, recognised by content and not by name.

What a DICOM's stored values mean is settled in `grey_scale`; here files are opened,
checked and decoded. Headers are read without pixels, and of a DICOM header only the elements named
in these two modules are ever loaded, so that nothing which identifies a person can reach a message,
a log or a record.

Every function may be called from several threads at once.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pydicom
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import UID

from mcalc.data.images.frame_decoders import frame_decoder
from mcalc.data.images.grey_scale import (
    GREY_SCALE_TAGS,
    BadGreyScale,
    GreyImage,
    display_table,
    look_up,
)
from mcalc.errors import UserError

MAX_PIXELS = 200_000_000
"""Largest image that is decoded; a full mammogram has about 15 to 35 million pixels."""

_SIZE_TAGS = ["Rows", "Columns", "NumberOfFrames"]
_HEADER_TAGS = [*_SIZE_TAGS, "SeriesDescription"]
_PIXEL_TAGS = [
    *_SIZE_TAGS, "SamplesPerPixel", "PlanarConfiguration", "BitsAllocated", "HighBit", "PixelData",
    *GREY_SCALE_TAGS,
]  # fmt: skip
_SPACING_TAGS = [
    "PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor",
    "NominalScannedPixelSpacing",
]  # fmt: skip
_DOWNLOAD_AGAIN = "the file seems damaged, so download or export it again"


class UnreadableImage(UserError):  # noqa: N818 - read as a sentence: `except UnreadableImage`
    """An image file that cannot be turned into grey pixels; the message names file and remedy."""


class _Format(StrEnum):
    DICOM = "DICOM"
    JPEG = "JPEG"
    PNG = "PNG"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file says of its image before any pixel is decoded."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    description: str | None
    """A DICOM file's own SeriesDescription; None where it has none, and for JPEG and PNG."""


def read_header(path: Path) -> ImageHeader:
    """Size and description of a DICOM, JPEG or PNG file, read without its pixels.

    Raises UnreadableImage when the file is missing, is none of the three, is damaged in its header
    or claims more than `MAX_PIXELS`.
    """
    match _format(path):
        case _Format.DICOM:
            dataset = _parse(path, _HEADER_TAGS, stop_before_pixels=True)
            width, height = _dicom_size(dataset, path)
            text = dataset.get("SeriesDescription")
            return ImageHeader(width, height, str(text) if text else None)
        case raster:
            with path.open("rb") as file:
                image = _open_raster(file, raster, path)
                width, height = image.size
            _refuse_giants(width, height, path)
            return ImageHeader(width, height, None)


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels, read without decoding; raises as `read_header`."""
    header = read_header(path)
    return header.width, header.height


def pixel_spacing(path: Path) -> float | None:
    """Width of a pixel in mm, in the breast where the file allows it; None where it does not say.

    In this order: PixelSpacing, where it says something else than the detector's; the detector's
    ImagerPixelSpacing over EstimatedRadiographicMagnificationFactor (1 where absent);
    NominalScannedPixelSpacing of digitised film. Rows and columns that differ give their mean.
    JPEG, PNG and CBIS-DDSM's DICOMs say nothing. Raises UnreadableImage as `read_header`.
    """
    if _format(path) is not _Format.DICOM:
        return None
    dataset = _parse(path, _SPACING_TAGS, stop_before_pixels=True)
    calibrated, detector = _mm(dataset, "PixelSpacing"), _mm(dataset, "ImagerPixelSpacing")
    if calibrated and not (detector and math.isclose(calibrated, detector, rel_tol=1e-4)):
        return calibrated
    if detector:
        return detector / (_mm(dataset, "EstimatedRadiographicMagnificationFactor") or 1.0)
    return _mm(dataset, "NominalScannedPixelSpacing")


def _mm(dataset: Dataset, keyword: str) -> float | None:
    """Mean of an element's numbers, or None where it has none that is above 0."""
    try:
        values = np.atleast_1d(np.asarray(dataset.get(keyword), dtype=np.float64))
    except (TypeError, ValueError):
        return None
    usable = values.size > 0 and np.isfinite(values).all() and (values > 0).all()
    return float(values.mean()) if usable else None


def read_image(path: Path) -> GreyImage:
    """Grey pixels of a DICOM, JPEG or PNG file, shape (H, W), bright = dense tissue.

    uint8 where the file stores up to 8 bits a pixel, else uint16; 0 and the type's maximum mean
    black and white whatever the file. A DICOM's values are what its header says they should look
    like: modality LUT or rescale, VOI LUT or window (the first of several), padding black,
    MONOCHROME1 inverted (`grey_scale`). Where the header names no VOI, the possible
    range of stored values is stretched linearly to the type's range. So it is with CBIS-DDSM: none
    of its crops seen here carries a window, a LUT, a rescale or padding, their pixels fill 16 bits,
    and they come out as stored. Colour JPEG and PNG become grey by ITU-R 601 weights.

    Raises UnreadableImage when the file is missing, is not such an image, is truncated or damaged,
    uses a transfer syntax that no installed decoder reads, holds several frames or colour DICOM
    pixels, has a window or LUT that cannot be applied, or has more than `MAX_PIXELS`, in its header
    or in the compressed pixels themselves.
    """
    match _format(path):
        case _Format.DICOM:
            return _read_dicom(path)
        case raster:
            return _read_raster(path, raster)


def _format(path: Path) -> _Format:
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        raise UnreadableImage(
            f"{path} cannot be opened ({error.strerror}): expected a DICOM, JPEG or PNG file that "
            "this user may read"
        ) from error
    if start[128:132] == b"DICM":
        return _Format.DICOM
    if start.startswith(b"\xff\xd8\xff"):
        return _Format.JPEG
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _Format.PNG
    raise UnreadableImage(
        f"{path} is {'empty' if not start else 'not an image'}: expected a DICOM (with its DICM "
        "mark), JPEG or PNG file; download or export it again"
    )


def _refuse_giants(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"{path} claims {width} x {height} pixels, more than the {MAX_PIXELS // 10**6} "
            f"megapixels that are decoded at most: {_DOWNLOAD_AGAIN}"
        )


@contextmanager
def _refuse_damage(path: Path, what: str, detail: str = "") -> Iterator[None]:
    """Raise UnreadableImage, `what` (`cannot be ...`) in its message, for any error in the block.

    `detail` is added in brackets; without one the error's type.
    """
    try:
        yield
    except Exception as error:  # a damaged file makes parsers and decoders stumble in any way
        why = detail or type(error).__name__
        raise UnreadableImage(f"{path} {what} ({why}): {_DOWNLOAD_AGAIN}") from error


def _parse(path: Path, tags: list[str], stop_before_pixels: bool) -> Dataset:
    with _refuse_damage(path, "cannot be parsed as DICOM"):
        return pydicom.dcmread(
            path, specific_tags=list(tags), stop_before_pixels=stop_before_pixels
        )


def _integer(dataset: Dataset, keyword: str, path: Path, default: int | None = None) -> int:
    value = dataset.get(keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise UnreadableImage(
            f"{path} has no usable {keyword} in its DICOM header, so it shows no image: expected "
            f"an image such as a mammogram; {_DOWNLOAD_AGAIN}"
        )
    return int(value)


def _dicom_size(dataset: Dataset, path: Path) -> tuple[int, int]:
    """(width, height) of the one frame."""
    width, height = _integer(dataset, "Columns", path), _integer(dataset, "Rows", path)
    if width < 1 or height < 1:
        raise UnreadableImage(f"{path} claims {width} x {height} pixels: {_DOWNLOAD_AGAIN}")
    frames = _integer(dataset, "NumberOfFrames", path, default=1)
    if frames != 1:
        raise UnreadableImage(
            f"{path} holds {frames} frames: expected a single image, so export one frame of it"
        )
    _refuse_giants(width, height, path)
    return width, height


def _read_dicom(path: Path) -> GreyImage:
    # the size is known, and giants refused, before a pixel is read into memory
    width, height = image_size(path)
    dataset = _parse(path, _PIXEL_TAGS, stop_before_pixels=False)
    if "Rows" not in dataset:
        # pydicom gives nothing of a file that ends inside its compressed pixels
        raise UnreadableImage(f"{path} ends before its pixels do: {_DOWNLOAD_AGAIN}")
    bits = _grey_depth(dataset, path)
    if "PixelData" not in dataset:
        raise UnreadableImage(f"{path} holds no pixels: {_DOWNLOAD_AGAIN}")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise UnreadableImage(f"{path} names no transfer syntax: {_DOWNLOAD_AGAIN}")
    decoder = _decoder(UID(syntax), bits, path)
    _check_codestream(dataset, UID(syntax), (width, height), path)
    detail = f"transfer syntax {UID(syntax).name}, {bits} bits"
    with _refuse_damage(path, "cannot be decoded", detail):
        stored, _ = decoder.as_array(dataset)
    if stored.shape != (height, width):
        raise UnreadableImage(
            f"{path} decodes to shape {stored.shape} where its header says {(height, width)}: "
            f"{_DOWNLOAD_AGAIN}"
        )
    # the file's bytes are as large as the image, and are not needed from here on
    del dataset.PixelData
    try:
        return look_up(display_table(dataset), stored)
    except BadGreyScale as error:
        raise UnreadableImage(
            f"{path} cannot be shown as its header asks: {error}; export it again"
        ) from error


def _grey_depth(dataset: Dataset, path: Path) -> int:
    """Bits stored a pixel, once the header describes grey pixels that are understood."""
    photometric = dataset.get("PhotometricInterpretation")
    samples = _integer(dataset, "SamplesPerPixel", path, default=1)
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or samples != 1:
        raise UnreadableImage(
            f"{path} has PhotometricInterpretation {photometric} with {samples} sample(s) a pixel: "
            "expected a grey DICOM (MONOCHROME1 or MONOCHROME2), so export it as grey"
        )
    allocated = _integer(dataset, "BitsAllocated", path)
    stored = _integer(dataset, "BitsStored", path)
    high = _integer(dataset, "HighBit", path, default=stored - 1)
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


def _check_codestream(dataset: Dataset, syntax: UID, size: tuple[int, int], path: Path) -> None:
    """Refuse compressed pixels of another size than the header's, before memory is allocated."""
    if not syntax.is_encapsulated:
        return
    detail = f"its compressed pixels are not as {syntax.name} packs them"
    with _refuse_damage(path, "cannot be decoded", detail):
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    claimed = _codestream_size(frame)
    if claimed is None:
        return
    _refuse_giants(*claimed, path)
    if claimed != size:
        raise UnreadableImage(
            f"{path} holds {claimed[0]} x {claimed[1]} compressed pixels where its header says "
            f"{size[0]} x {size[1]}: {_DOWNLOAD_AGAIN}"
        )


_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG (ITU-T T.81, table B.1) and JPEG-LS (T.87)."""
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD8)) | {0x01}


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(width, height) that a JPEG, JPEG-LS or JPEG 2000 stream gives; None where it is neither."""
    if frame.startswith(b"\xff\x4f\xff\x51") and len(frame) >= 24:
        right, lower, left, upper = struct.unpack(">4I", frame[8:24])
        return right - left, lower - upper
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", frame[at + 5 : at + 9])
            return width, height
        if marker == 0xFF:
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _open_raster(file: object, raster: _Format, path: Path) -> ImageFile:
    """The JPEG or PNG, its header read.

    The plug-ins are called directly: `Image.open` would warn of, or refuse, sizes by a limit of
    its own, and would guess the format anew.
    """
    plugin = JpegImageFile if raster is _Format.JPEG else PngImageFile
    with _refuse_damage(path, f"cannot be parsed as {raster}"):
        return plugin(file)  # type: ignore[arg-type]


def _read_raster(path: Path, raster: _Format) -> GreyImage:
    with path.open("rb") as file:
        image = _open_raster(file, raster, path)
        _refuse_giants(*image.size, path)
        with _refuse_damage(path, f"is a {raster} file that cannot be decoded"):
            image.load()
        if image.mode.startswith("I"):
            # PNG's 16-bit grey
            return np.asarray(image).astype(np.uint16)
        return np.array(image.convert("L"), dtype=np.uint8)
