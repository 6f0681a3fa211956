"""JPEG and PNG as viewers show them, against Pillow; and what is refused before it is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from mcalc.data.images.image_file import image_size, read_image
from mcalc.data.images.unreadable import MAX_SCANNED, UnreadableImage

ORIENTATION = 0x0112


def picture() -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[0:48, 0:80]
    return (40 + 2 * x + y).astype(np.uint8)


def chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def png(path: Path, *extra: bytes, at_the_end: bool = False) -> Path:
    """The picture with further chunks, before its pixels or after them."""
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "PNG")
    whole = out.getvalue()
    at = len(whole) - 12 if at_the_end else 33
    path.write_bytes(whole[:at] + b"".join(extra) + whole[at:])
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG, EXIF after the pixels"])
def test_exif_turns_the_picture_as_pillow_does(tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "x"
    if kind == "JPEG":
        Image.fromarray(picture()).save(path, "JPEG", quality=95, exif=exif)
    else:
        content = exif.tobytes().removeprefix(b"Exif\0\0")
        png(path, chunk(b"eXIf", content), at_the_end=kind != "PNG")
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[::-1]


@pytest.mark.parametrize(
    "exif", [b"", b"II*", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_a_picture_with_damaged_exif_is_shown_as_stored(tmp_path: Path, exif: bytes) -> None:
    path = png(tmp_path / "x.png", chunk(b"eXIf", exif))
    np.testing.assert_array_equal(read_image(path), picture())


def test_a_png_with_a_large_text_or_profile_is_read(tmp_path: Path) -> None:
    long = zlib.compress(b"x" * 70_000_000)
    for content in (
        chunk(b"zTXt", b"Comment\0\0" + long),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + long),
        chunk(b"iCCP", b"profile\0\0" + long),
        chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
    ):
        path = png(tmp_path / "x.png", content)
        np.testing.assert_array_equal(read_image(path), picture())
        assert image_size(path) == (80, 48)
    info = PngInfo()
    info.add_text("Comment", "y" * 2_000_000, zip=True)
    Image.fromarray(picture()).save(tmp_path / "y.png", pnginfo=info)
    np.testing.assert_array_equal(read_image(tmp_path / "y.png"), picture())


def test_a_palette_and_its_transparency_are_kept(tmp_path: Path) -> None:
    image = Image.fromarray(picture()).quantize(16)
    image.save(tmp_path / "x.png", transparency=3)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.asarray(image.convert("L")))


def test_a_progressive_jpeg_of_a_usual_size_is_read(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "x.jpg", quality=95, progressive=True)
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - picture()).max() < 4


def test_a_jpeg_that_a_decoder_would_go_over_for_minutes_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "JPEG", progressive=True)
    content = bytearray(out.getvalue())
    scans, frame = content.count(b"\xff\xda"), content.index(b"\xff\xc2")
    assert scans > 3
    width, height = 16_000, 12_000
    assert width * height * scans > MAX_SCANNED
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UnreadableImage, match=rf"in {scans} scans, more than .*not progressive"):
        read_image(tmp_path / "x.jpg")
