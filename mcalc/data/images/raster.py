"""JPEG and PNG files to grey pixels, the way up that viewers show them."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, assert_never

import imagecodecs
import numpy as np
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from mcalc.data.images.codestream import Codestream, has_frame, read_codestream, with_surplus
from mcalc.data.images.file_format import Raster
from mcalc.data.images.grey_scale import GreyImage, look_up
from mcalc.data.images.unreadable import (
    MAX_PIXELS,
    UnreadableImage,
    refuse_damage,
    refuse_giants,
)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHOWN = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""Chunks of a PNG that its grey pixels are made of. Others (text, colour profiles) may be larger
than Pillow allows, and say nothing here."""
_SEVERAL = {2: 3, 4: 2, 6: 4}
"""Samples a pixel of PNG's colour types: colour, grey and transparency, both. Others have one."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
"""Of an interlaced PNG's passes: first column and row, and steps (PNG, 8.2)."""
_PIECE = 1 << 20
_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue in grey (ITU-R BT.601)."""
_FILLING = 128
"""What a JPEG decoder puts in place of pixels that it does not find: the middle of the range."""

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


def read_raster(path: Path, raster: Raster, bits_stored: int | None = None) -> GreyImage:
    """Grey pixels (H, W), turned as EXIF asks: uint16 for PNG's 16 bits a sample, else uint8.

    Colour becomes grey by ITU-R 601 weights; transparency is left out. `bits_stored`: bits of a
    value where the file claims more; they fill the type's range. Raises UnreadableImage.
    """
    return _stretched(_pixels(path, raster), bits_stored, path)


def _pixels(path: Path, raster: Raster) -> GreyImage:
    with path.open("rb") as file:
        image, orientation, stream = _open(file, raster, path, pixels=True)
        scans = stream.scans if stream else 1
        refuse_giants(*image.size, path, scans)
        content = image.fp.getvalue() if isinstance(image.fp, io.BytesIO) else b""
        with refuse_damage(path, f"is a {raster} file that cannot be decoded"):
            if _is_deep_colour(content):
                return _turned(_deep_grey(content, path), orientation)
            if stream and len(content) < stream.least_bytes:
                raise ValueError("too short for its size")
            grey = _grey(image)
            match raster:
                case Raster.JPEG:
                    # inks are filled up with another grey
                    filled = bool(grey[-1, -1] == _FILLING)
                    if scans > 1 or image.mode == "CMYK" or filled:
                        _refuse_filling(content, grey)
                case Raster.PNG:
                    _refuse_missing_rows(content, grey)
                case other:
                    assert_never(other)
            return _turned(grey, orientation)


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


def _grey(image: ImageFile) -> GreyImage:
    image.load()
    deep = image.mode.startswith("I")
    return np.asarray(image if deep else image.convert("L")).astype(np.uint16 if deep else np.uint8)


def _is_deep_colour(content: bytes) -> bool:
    """Whether it is a PNG of 16 bits a sample with colours or transparency: Pillow drops 8 bits."""
    if not content.startswith(_PNG_SIGNATURE):
        return False
    depth, colour = content[24:26]
    return depth == 16 and colour in _SEVERAL


def _deep_grey(content: bytes, path: Path) -> GreyImage:
    width, height, _, colour = struct.unpack(">IIBB", content[16:26])
    if width * height * _SEVERAL[colour] > MAX_PIXELS:
        raise UnreadableImage(
            f"{path} claims {width} x {height} pixels of {_SEVERAL[colour]} values, more than the "
            f"{MAX_PIXELS // 10**6} million values that are decoded at most: export it as grey"
        )
    samples = imagecodecs.png_decode(content)
    if samples.shape[2] < 3:
        return np.ascontiguousarray(samples[..., 0])
    grey = np.empty(samples.shape[:2], np.uint16)
    # row by row: the sum of a whole image would take 16 bytes a pixel
    for row, shown in zip(samples, grey, strict=True):
        shown[:] = np.rint(row[:, :3] @ _WEIGHTS)
    return grey


def _refuse_filling(content: bytes, grey: GreyImage) -> None:
    """Raise ValueError where Pillow filled up with grey: a JPEG that was cut, and then closed."""
    fuller = with_surplus(content)
    if fuller and not np.array_equal(
        np.asarray(JpegImageFile(io.BytesIO(fuller)).convert("L")), grey
    ):
        raise ValueError("its pixels end before the image does")


def _refuse_missing_rows(content: bytes, grey: GreyImage) -> None:
    """Raise ValueError for a PNG that ends in a row of one value, where Pillow found no more."""
    if grey[-1].min() == grey[-1].max() and not _has_all_rows(content):
        raise ValueError("its pixels end before the image does")


def _has_all_rows(content: bytes) -> bool:
    """Whether the pixels unpack to as many bytes as the header says (PNG, 7.2 and 8.1)."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    bits = depth * _SEVERAL.get(colour, 1)
    sizes = [(width, height)]
    if interlaced:
        sizes = [(-(-(width - x) // w), -(-(height - y) // h)) for x, y, w, h in _ADAM7]
    # each row of a pass begins with its filter
    needed: int = sum(
        rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0
    )
    unpacker, at = zlib.decompressobj(), len(_PNG_SIGNATURE)
    while needed > 0 and at + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        packed = content[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        while packed and needed > 0:
            needed -= len(unpacker.decompress(packed, _PIECE))
            packed = unpacker.unconsumed_tail
        at += length + 12
    # what was left inside when the last piece was full
    return needed <= len(unpacker.flush())


def _open(
    file: BinaryIO, raster: Raster, path: Path, pixels: bool
) -> tuple[ImageFile, int, Codestream | None]:
    """The image with its header read, its EXIF orientation (1 for none), and a JPEG's own words.

    The plug-ins are called directly: `Image.open` would warn of, or refuse, sizes by a limit of
    its own, and would guess the format anew.
    """
    with refuse_damage(path, f"cannot be parsed as {raster}"):
        match raster:
            case Raster.PNG:
                content, exif = _png_chunks(file, pixels)
                return PngImageFile(content), _orientation(exif), None
            case Raster.JPEG:
                # one that does not is gone through byte by byte
                if not has_frame(file):
                    raise ValueError("no image in its header")
                file.seek(0)
                whole = file.read() if pixels else b""
                stream = read_codestream(whole)
                image = JpegImageFile(io.BytesIO(whole) if pixels else file)
                exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
                return image, _orientation(exif), stream
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
