"""Image files to grey pixels: DICOM, JPEG and PNG, recognised by content and not by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcalc.data.images.dicom import dicom_size, dicom_spacing, read_dicom
from mcalc.data.images.grey_scale import GreyImage, look_up
from mcalc.data.images.raster import Raster, raster_size, read_raster
from mcalc.data.images.unreadable import UnreadableImage


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
    if raster := _raster(path):
        return ImageHeader(*raster_size(path, raster), None)
    width, height, description = dicom_size(path)
    return ImageHeader(width, height, description or None)


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
    return None if _raster(path) else dicom_spacing(path)


def read_image(path: Path, bits_stored: int | None = None) -> GreyImage:
    """Grey pixels of a DICOM, JPEG or PNG file, shape (H, W), bright = dense tissue.

    uint8 where the file stores up to 8 bits a pixel, else uint16; 0 and the type's maximum mean
    black and white whatever the file. A DICOM's values are what its header says they should look
    like: modality LUT or rescale, VOI LUT or window (the first of several), padding black,
    MONOCHROME1 inverted (`grey_scale`). Where the header names no VOI, the possible
    range of stored values is stretched linearly to the type's range. So it is with CBIS-DDSM: none
    of its crops seen here carries a window, a LUT, a rescale or padding, their pixels fill 16 bits,
    and they come out as stored. Colour JPEG and PNG become grey by ITU-R 601 weights, and are
    turned as EXIF asks.

    `bits_stored`: bits of a stored value where the file claims more (`data.bits_stored`), as 12 in
    a PNG of 16. Files that claim no more are read as without it.

    Raises UnreadableImage when the file is missing, is not such an image, is truncated or damaged,
    uses a transfer syntax that no installed decoder reads, holds several frames or colour DICOM
    pixels, has a window, LUT or number that cannot be applied, contradicts itself (pixels beyond
    BitsStored or `bits_stored`, a stream of another size or sign), or has more than `MAX_PIXELS`,
    in its header or in the compressed pixels themselves.
    """
    raster = _raster(path)
    if raster is None:
        return read_dicom(path, bits_stored)
    return _stretched(read_raster(path, raster), bits_stored, path)


def _raster(path: Path) -> Raster | None:
    """Which raster format the file has, None for DICOM. Raises UnreadableImage for others."""
    # reading from a pipe may never end
    if not path.is_file() and path.exists() and not path.is_dir():
        raise UnreadableImage(f"{path} is a pipe or device: expected a DICOM, JPEG or PNG file")
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError as error:
        raise UnreadableImage(
            f"{path} cannot be opened ({error.strerror}): expected a DICOM, JPEG or PNG file that "
            "this user may read"
        ) from error
    if start[128:132] == b"DICM":
        return None
    if start.startswith(b"\xff\xd8\xff"):
        return Raster.JPEG
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return Raster.PNG
    raise UnreadableImage(
        f"{path} is {'empty' if not start else 'not an image'}: expected a DICOM (with its DICM "
        "mark), JPEG or PNG file; download or export it again"
    )


def _stretched(pixels: GreyImage, bits_stored: int | None, path: Path) -> GreyImage:
    """Values of `bits_stored` bits over the type's whole range."""
    bits = 8 * pixels.itemsize
    if bits_stored is None or bits_stored >= bits:
        return pixels
    brightest = int(pixels.max())
    if brightest >= 2**bits_stored:
        raise UnreadableImage(
            f"{path} holds values up to {brightest}, which take {brightest.bit_length()} bits, "
            f"more than data.bits_stored={bits_stored}: name a depth that all images keep to, or "
            "null"
        )
    white = np.iinfo(pixels.dtype).max
    levels = np.rint(np.arange(2**bits_stored) * (white / (2**bits_stored - 1)))
    table = np.full(2**bits, white, dtype=pixels.dtype)
    table[: 2**bits_stored] = levels
    return look_up(table, pixels)
