"""JPEG and PNG files to grey pixels, the way up that viewers show them."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, assert_never

import numpy as np
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from mcalc.data.images.codestream import read_codestream
from mcalc.data.images.grey_scale import GreyImage
from mcalc.data.images.unreadable import refuse_damage, refuse_giants


class Raster(StrEnum):
    """A kind of file."""

    JPEG = "JPEG"
    PNG = "PNG"


_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHOWN = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""Chunks of a PNG that its grey pixels are made of. Others (text, colour profiles) may be larger
than Pillow allows, and say nothing here."""
_EXIF = b"eXIf"
_ORIENTATION, _SHORT = 0x0112, 3
"""Tag and type of EXIF's orientation."""

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


def raster_size(path: Path, raster: Raster) -> tuple[int, int]:
    """(width, height) as the file is shown, read without decoding. Raises UnreadableImage."""
    with path.open("rb") as file:
        image, orientation, _ = _open(file, raster, path, pixels=False)
        width, height = image.size
    refuse_giants(width, height, path)
    return (height, width) if orientation in _TURNED else (width, height)


def read_raster(path: Path, raster: Raster) -> GreyImage:
    """Grey pixels (H, W), turned as EXIF asks: uint16 for PNG's 16-bit grey, else uint8.

    Colour becomes grey by ITU-R 601 weights. Raises UnreadableImage.
    """
    with path.open("rb") as file:
        image, orientation, scans = _open(file, raster, path, pixels=True)
        refuse_giants(*image.size, path, scans)
        with refuse_damage(path, f"is a {raster} file that cannot be decoded"):
            image.load()
            grey = image if image.mode.startswith("I") else image.convert("L")
            depth = np.uint16 if image.mode.startswith("I") else np.uint8
            return _turned(np.asarray(grey).astype(depth), orientation)


def _open(file: BinaryIO, raster: Raster, path: Path, pixels: bool) -> tuple[ImageFile, int, int]:
    """The image with its header read, its EXIF orientation (1 for none) and number of scans.

    The plug-ins are called directly: `Image.open` would warn of, or refuse, sizes by a limit of
    its own, and would guess the format anew.
    """
    with refuse_damage(path, f"cannot be parsed as {raster}"):
        match raster:
            case Raster.PNG:
                content, exif = _png_chunks(file, pixels)
                return PngImageFile(content), _orientation(exif), 1
            case Raster.JPEG:
                whole = file.read() if pixels else b""
                stream = read_codestream(whole)
                image = JpegImageFile(io.BytesIO(whole) if pixels else file)
                exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
                return image, _orientation(exif), stream.scans if stream else 1
            case other:
                assert_never(other)


def _png_chunks(file: BinaryIO, pixels: bool) -> tuple[io.BytesIO, bytes]:
    """The PNG with the chunks that its pixels need, and its EXIF; IDAT's content only on request.

    EXIF may stand before the pixels or after them.
    """
    kept, exif = io.BytesIO(), b""
    kept.write(_PNG_SIGNATURE)
    file.seek(len(_PNG_SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name in _SHOWN and (pixels or name != b"IDAT"):
            kept.write(head + file.read(length + 4))
        elif name == _EXIF:
            exif = file.read(length)
            file.seek(4, io.SEEK_CUR)
        else:
            if name == b"IDAT":
                kept.write(head)
            file.seek(length + 4, io.SEEK_CUR)
        if name == b"IEND":
            break
    kept.seek(0)
    return kept, exif


def _orientation(exif: bytes) -> int:
    """The orientation that EXIF's first directory gives (TIFF 6.0, section 2), 1 to 8.

    1, as stored, where there is none, or none that can be read: viewers show such a file too.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    with suppress(struct.error):
        if order:
            (start,) = struct.unpack_from(f"{order}I", exif, 4)
            (count,) = struct.unpack_from(f"{order}H", exif, start)
            for at in range(start + 2, start + 2 + 12 * count, 12):
                tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at)
                if (tag, kind) == (_ORIENTATION, _SHORT) and 1 <= value <= 8:
                    return int(value)
    return 1


def _turned(pixels: GreyImage, orientation: int) -> GreyImage:
    """The image as shown: EXIF 2.3, 4.6.4, table of Orientation."""
    match orientation:
        case 2:
            shown = pixels[:, ::-1]
        case 3:
            shown = pixels[::-1, ::-1]
        case 4:
            shown = pixels[::-1]
        case 5:
            shown = pixels.T
        case 6:
            shown = np.rot90(pixels, -1)
        case 7:
            shown = pixels[::-1, ::-1].T
        case 8:
            shown = np.rot90(pixels)
        case _:
            return pixels
    return np.ascontiguousarray(shown)
