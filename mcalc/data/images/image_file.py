"""Image files to grey pixels: DICOM, JPEG and PNG, recognised by content and not by name.

The libraries that read them are imported where a file is read: a plan whose headers are known reads
none, nor does a mistake in the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.data.images.file_format import raster_format

if TYPE_CHECKING:
    from mcalc.data.images.grey_scale import GreyImage


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
    if raster := raster_format(path):
        from mcalc.data.images.raster import raster_size

        return ImageHeader(*raster_size(path, raster), None)
    from mcalc.data.images.dicom import dicom_size

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
    if raster_format(path):
        return None
    from mcalc.data.images.dicom import dicom_spacing

    return dicom_spacing(path)


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
    raster = raster_format(path)
    if raster is None:
        from mcalc.data.images.dicom import read_dicom

        return read_dicom(path, bits_stored)
    from mcalc.data.images.raster import read_raster

    return read_raster(path, raster, bits_stored)
