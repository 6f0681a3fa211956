"""JPEG and PNG as viewers show them, against Pillow; and what is refused before it is decoded."""

from __future__ import annotations

import io
import struct
import time
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
END = b"\xff\xd9"
PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
"""Of an interlaced PNG: first column and row, and steps (PNG, 8.2)."""


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


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_that_was_cut_and_then_closed_is_refused(
    tmp_path: Path, mode: str, progressive: bool
) -> None:
    out = io.BytesIO()
    image = Image.fromarray(picture()).convert("RGB").convert(mode)
    image.save(out, "JPEG", quality=95, progressive=progressive)
    whole = out.getvalue()
    (tmp_path / "x.jpg").write_bytes(whole + b"more of another file")
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - picture()).max() < 6
    start = whole.index(b"\xff\xda") + 20
    for share in (0.5, 0.8):
        (tmp_path / "x.jpg").write_bytes(whole[: start + int(share * (len(whole) - start))] + END)
        with pytest.raises(UnreadableImage, match=r"x\.jpg is a JPEG file that cannot be decoded"):
            read_image(tmp_path / "x.jpg")


def test_a_jpeg_that_ends_in_the_middle_of_its_range_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 80), 128, np.uint8)).save(tmp_path / "x.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "x.jpg"), 128)


def written(rows: list[bytes], size: tuple[int, int], depth: int, colour: int) -> bytes:
    """A PNG of these rows, whatever size its header says."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", packed), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def samples(grey: npt.NDArray[np.uint16], colour: int) -> list[bytes]:
    """Rows of 16 bits a sample: the grey as each colour, and noise as transparency."""
    count, clear = {0: (1, 0), 2: (3, 0), 4: (1, 1), 6: (3, 1)}[colour]
    alpha = np.random.default_rng(0).integers(0, 65_536, grey.shape)
    whole = np.stack([grey] * count + [alpha] * clear, axis=-1)
    return [row.astype(">u2").tobytes() for row in whole]


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_a_sample_are_kept(tmp_path: Path, colour: int) -> None:
    grey = np.random.default_rng(1).integers(0, 4096, (48, 80)).astype(np.uint16)
    path = tmp_path / "x.png"
    path.write_bytes(written(samples(grey, colour), (80, 48), 16, colour))
    np.testing.assert_array_equal(read_image(path), grey)
    white = np.rint(grey * (65_535 / 4095))
    np.testing.assert_array_equal(read_image(path, bits_stored=12), white)


def test_colours_of_sixteen_bits_become_grey_by_itu_r_601(tmp_path: Path) -> None:
    rows = [struct.pack(">9H", 65_535, 0, 0, 0, 65_535, 0, 0, 0, 65_535)]
    (tmp_path / "x.png").write_bytes(written(rows, (3, 1), 16, 2))
    expected = [round(share * 65_535) for share in (0.299, 0.587, 0.114)]
    assert read_image(tmp_path / "x.png").tolist() == [expected]


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_that_lacks_rows_is_refused(tmp_path: Path, depth: int, colour: int) -> None:
    rows = samples(np.full((48, 80), 7, np.uint16), colour)
    if depth == 8:
        rows = [row[1::2] for row in rows]
    path = tmp_path / "x.png"
    path.write_bytes(written(rows, (80, 48), depth, colour))
    np.testing.assert_array_equal(read_image(path), 7)
    path.write_bytes(written(rows[:-1], (80, 48), depth, colour))
    with pytest.raises(UnreadableImage, match=r"x\.png is a PNG file that cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 9), (80, 48)])
def test_an_interlaced_png_of_one_value_is_read(tmp_path: Path, size: tuple[int, int]) -> None:
    content = bytearray(written([], size, 8, 0))
    sizes = [(-(-(size[0] - x) // w), -(-(size[1] - y) // h)) for x, y, w, h in PASSES]
    rows = b"".join(b"\0" + b"\7" * w for w, h in sizes if w > 0 for _ in range(h))
    header = bytes(content[16:28]) + b"\1"
    start = content[:8] + chunk(b"IHDR", header)
    end = chunk(b"IEND", b"")
    path = tmp_path / "x.png"
    path.write_bytes(start + chunk(b"IDAT", zlib.compress(rows)) + end)
    np.testing.assert_array_equal(read_image(path), np.full(size[::-1], 7))
    path.write_bytes(start + chunk(b"IDAT", zlib.compress(rows[:-1])) + end)
    with pytest.raises(UnreadableImage, match=r"x\.png is a PNG file that cannot be decoded"):
        read_image(path)


def test_a_giant_of_several_samples_is_refused_before_decoding(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(written([], (13_000, 13_000), 16, 2))
    with pytest.raises(UnreadableImage, match=r"13000 x 13000 pixels of 3 values, .*export it as"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize(
    "content",
    [b"\xff" * 20_000_000, b"\xff\xd0" * 10_000_000, b"\xff\xe0\0\2" * 5_000_000],
    ids=["fill bytes", "restarts", "segments"],
)
def test_a_jpeg_without_an_image_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8\xff" + content)
    for read in (image_size, read_image):
        began = time.process_time()
        with pytest.raises(UnreadableImage, match=r"x\.jpg cannot be parsed as JPEG"):
            read(path)
        assert time.process_time() - began < 1


def test_a_jpeg_that_is_too_short_for_its_size_is_not_decoded(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "JPEG")
    content = bytearray(out.getvalue())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 14_000, 14_000)
    (tmp_path / "x.jpg").write_bytes(content)
    began = time.process_time()
    with pytest.raises(UnreadableImage, match=r"x\.jpg is a JPEG file that cannot be decoded"):
        read_image(tmp_path / "x.jpg")
    assert time.process_time() - began < 0.5
