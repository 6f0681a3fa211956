from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    RLELossless,
)

from mcalc.data.images.image_file import image_size, read_header, read_image
from mcalc.data.images.unreadable import UnreadableImage
from mcalc.errors import UserError

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_full_depth_pixels_come_back_as_written(
    tmp_path: Path, dicom: Write, grey: Any, syntax: str, dtype: type
) -> None:
    pixels = grey(64, 48).astype(dtype)
    read = read_image(dicom(tmp_path / "x.dcm", pixels, syntax=syntax))
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, pixels)


def test_monochrome1_is_inverted(tmp_path: Path, dicom: Write) -> None:
    pixels = np.array([[0, 1000, 65535]], dtype=np.uint16)
    path = dicom(tmp_path / "x.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path), [[65535, 64535, 0]])


def test_twelve_bits_fill_the_range_of_sixteen(tmp_path: Path, dicom: Write) -> None:
    pixels = np.array([[0, 1, 2048, 4095]], dtype=np.uint16)
    path = dicom(tmp_path / "x.dcm", pixels, BitsStored=12, HighBit=11)
    # v * 65535 / 4095, rounded
    np.testing.assert_array_equal(read_image(path), [[0, 16, 32776, 65535]])
    path = dicom(
        tmp_path / "y.dcm", pixels, BitsStored=12, HighBit=11,
        PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(path), [[65535, 65519, 32759, 0]])


def test_every_depth_keeps_black_white_and_order(tmp_path: Path, dicom: Write) -> None:
    for bits in range(9, 17):
        pixels = np.linspace(0, 2**bits - 1, 300).astype(np.uint16).reshape(3, 100)
        path = dicom(tmp_path / f"{bits}.dcm", pixels, BitsStored=bits, HighBit=bits - 1)
        read = read_image(path).astype(np.int64).ravel()
        assert (read[0], read[-1]) == (0, 65535)
        assert np.all(np.sign(np.diff(read)) == np.sign(np.diff(pixels.ravel().astype(np.int64))))


def test_signed_pixels_are_shifted_to_start_at_black(tmp_path: Path, dicom: Write) -> None:
    pixels = np.array([[-32768, -1, 0, 32767]], dtype=np.int16)
    np.testing.assert_array_equal(
        read_image(dicom(tmp_path / "x.dcm", pixels)), [[0, 32767, 32768, 65535]]
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_an_overlay_in_bits_above_those_stored_is_no_part_of_the_pixel(
    tmp_path: Path, dicom: Write, dtype: type
) -> None:
    overlay = 0xF000
    pixels = np.array([[0, 4095, overlay, overlay | 4095]], dtype=np.uint16).view(dtype)
    path = dicom(tmp_path / "x.dcm", pixels, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(path)
    for number, position in enumerate(range(12, 16)):
        dataset.add_new((0x6000 + 2 * number, 0x0100), "US", 16)
        dataset.add_new((0x6000 + 2 * number, 0x0102), "US", position)
    dataset.save_as(path)
    # 4095 is -1 where 12 bits are signed
    expected = [0, 65535] if dtype is np.uint16 else [32776, 32759]
    np.testing.assert_array_equal(read_image(path), [expected * 2])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("size", [{"Columns": 47}, {"Rows": 63}, {"Rows": 32}])
@pytest.mark.filterwarnings("ignore:The (pixel data is|number of bytes|decoded RLE segment)")
def test_pixels_for_a_larger_image_than_the_header_says_are_refused(
    tmp_path: Path, dicom: Write, grey: Any, syntax: str, dtype: type, size: dict[str, int]
) -> None:
    path = dicom(tmp_path / "x.dcm", grey(64, 48).astype(dtype), syntax=syntax)
    dataset = pydicom.dcmread(path)
    dataset.update(size)
    dataset.save_as(path)
    with pytest.raises(UnreadableImage, match=r"x\.dcm (holds|cannot be decoded)"):
        read_image(path)


@pytest.mark.filterwarnings("ignore:The pixel data is")
def test_a_few_bytes_after_the_pixels_are_padding(tmp_path: Path, dicom: Write, grey: Any) -> None:
    pixels = grey(64, 48).astype(np.uint16)
    path = dicom(tmp_path / "x.dcm", pixels, PixelData=pixels.tobytes() + bytes(94))
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEGLossless])
def test_values_beyond_the_bits_stored_do_not_wrap(
    tmp_path: Path, dicom: Write, syntax: str
) -> None:
    pixels = np.tile(np.arange(0, 16384, 64, dtype=np.uint16), (16, 1))
    path = dicom(tmp_path / "x.dcm", pixels, syntax=syntax)
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(path)
    with pytest.raises(UnreadableImage, match=r"from 0 to 16320, which take 14 bits.*12 bits of"):
        read_image(path)


def test_a_header_is_decoded_as_it_is_read(tmp_path: Path, dicom: Write, grey: Any) -> None:
    pixels = grey(64, 48).astype(np.uint16)
    path = dicom(tmp_path / "x.dcm", pixels, syntax=ExplicitVRLittleEndian)
    dataset = pydicom.dcmread(path)
    # grey pixels have one sample, and blanks around a word count for nothing
    del dataset.SamplesPerPixel
    del dataset.HighBit
    dataset.PhotometricInterpretation = " MONOCHROME2 "
    dataset.save_as(path)
    np.testing.assert_array_equal(read_image(path), pixels)
    del dataset.PixelRepresentation
    dataset.save_as(path)
    with pytest.raises(UnreadableImage, match=r"x\.dcm has no usable PixelRepresentation"):
        read_image(path)


def test_signed_values_may_be_padded_with_zeros_or_with_their_sign(
    tmp_path: Path, dicom: Write
) -> None:
    # two's complement of 12 bits: 0, 2047, -2048, -1
    zeros = np.array([[0, 2047, 0x0800, 0x0FFF]], dtype=np.int16)
    signs = np.array([[0, 2047, -2048, -1]], dtype=np.int16)
    for pixels in (zeros, signs):
        path = dicom(tmp_path / "y.dcm", pixels, BitsStored=12, HighBit=11)
        np.testing.assert_array_equal(read_image(path), [[32776, 65535, 0, 32759]])
    fifteen = np.array([[0, 16383, 0x4000, 0x7FFF]], dtype=np.int16)
    path = dicom(tmp_path / "x.dcm", fifteen, BitsStored=15, HighBit=14)
    np.testing.assert_array_equal(read_image(path), [[32769, 65535, 0, 32766]])
    for beyond in (np.array([[-2049, 5]]), np.array([[0, 4096]]), np.array([[-1, 2048]])):
        path = dicom(tmp_path / "z.dcm", beyond.astype(np.int16), BitsStored=12, HighBit=11)
        with pytest.raises(UnreadableImage, match=r"which take 1[34] bits, more than the 12 bits"):
            read_image(path)


def test_sixteen_bit_png_keeps_its_depth(tmp_path: Path, grey: Any) -> None:
    pixels = grey(9, 14)
    assert cv2.imwrite(str(tmp_path / "x.png"), pixels)
    read = read_image(tmp_path / "x.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_colour_becomes_grey_by_itu_r_601(tmp_path: Path, mode: str) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(rgb).convert(mode)
    image.save(tmp_path / "x.png")
    expected = rgb.astype(float) @ [0.299, 0.587, 0.114]
    read = read_image(tmp_path / "x.png")
    assert read.shape == (8, 8)
    assert np.abs(read - expected).max() <= 1


def test_jpeg_is_close_to_what_was_written(tmp_path: Path, jpeg: Write) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    read = read_image(jpeg(tmp_path / "x.jpg", ramp, quality=95))
    assert read.shape == (32, 64)
    assert np.abs(read.astype(int) - ramp).max() < 8


def test_content_and_not_the_name_decides_the_format(
    tmp_path: Path, dicom: Write, grey: Any
) -> None:
    pixels = grey(5, 6)
    np.testing.assert_array_equal(read_image(dicom(tmp_path / "x.JPG", pixels)), pixels)


def test_size_and_description_need_no_pixels(
    tmp_path: Path, dicom: Write, jpeg: Write, grey: Any
) -> None:
    path = dicom(tmp_path / "x.dcm", grey(40, 30), description="cropped images")
    path.write_bytes(path.read_bytes()[:-1000])
    header = read_header(path)
    assert (header.width, header.height, header.description) == (30, 40, "cropped images")
    assert image_size(path) == (30, 40)
    assert image_size(jpeg(tmp_path / "x.jpg", np.zeros((7, 9), np.uint8))) == (9, 7)
    assert read_header(tmp_path / "x.jpg").description is None


def _png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(b"\0" * 10)
    more = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return b"\x89PNG\r\n\x1a\n" + chunk + more


def _jpeg_claiming(path: Path, width: int, height: int) -> bytes:
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


@pytest.mark.parametrize("read", [read_image, image_size])
@pytest.mark.parametrize("kind", ["dcm", "png", "jpg"])
def test_a_billion_pixels_are_refused_before_decoding(
    tmp_path: Path, dicom: Write, jpeg: Write, grey: Any, kind: str, read: Callable[[Path], Any]
) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "dcm":
        dicom(path, grey(4, 4), Rows=32000, Columns=32000)
    elif kind == "png":
        path.write_bytes(_png_claiming(32000, 32000))
    else:
        jpeg(path, np.zeros((8, 8), np.uint8))
        path.write_bytes(_jpeg_claiming(path, 32000, 32000))
    with pytest.raises(UnreadableImage, match=r"x\.\w+ claims 32000 x 32000 pixels.*200 megapix"):
        read(path)


def test_the_limit_itself_is_not_refused(tmp_path: Path, dicom: Write, grey: Any) -> None:
    assert image_size(dicom(tmp_path / "x.dcm", grey(2, 2), Rows=10000, Columns=20000)) == (
        20000,
        10000,
    )
    with pytest.raises(UnreadableImage, match="megapixels"):
        image_size(dicom(tmp_path / "y.dcm", grey(2, 2), Rows=10000, Columns=20001))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["raw", "rle", "j2k", "png", "jpg"])
def test_truncated_files_are_not_half_read(
    tmp_path: Path, dicom: Write, jpeg: Write, grey: Any, kind: str, share: float
) -> None:
    path, pixels = tmp_path / f"x.{kind}", grey(64, 64)
    if kind == "png":
        assert cv2.imwrite(str(tmp_path / "y.png"), pixels)
        path.write_bytes((tmp_path / "y.png").read_bytes())
    elif kind == "jpg":
        jpeg(path, (pixels >> 8).astype(np.uint8))
    else:
        syntax = {
            "raw": ImplicitVRLittleEndian, "rle": RLELossless, "j2k": JPEG2000Lossless
        }[kind]  # fmt: skip
        dicom(path, pixels, syntax=syntax)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableImage, match=rf"x\.{kind} .*download or export it again"):
        read_image(path)


def test_a_file_cut_inside_its_compressed_pixels_is_not_read_as_something_else(
    tmp_path: Path, dicom: Write, grey: Any
) -> None:
    # pydicom only warns of the missing end, and gives an empty data set
    path = dicom(tmp_path / "x.dcm", grey(64, 64), syntax=RLELossless)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UnreadableImage, match="ends before its pixels do"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"<html>Sign in</html>" * 20, "not an image"), (b"\0" * 500, "not an im")],
)
def test_a_file_that_is_not_an_image_is_called_that(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=f"{path} is {says.removeprefix('is ')}"):
        read_image(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"gone\.dcm cannot be opened \(No such file"):
        read_image(tmp_path / "gone.dcm")
    with pytest.raises(UnreadableImage, match=r"cannot be opened \(Is a directory"):
        image_size(tmp_path)
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(UnreadableImage, match=r"pipe\.dcm is a pipe or device"):
        read_image(tmp_path / "pipe.dcm")
    assert issubclass(UnreadableImage, UserError)


def test_a_syntax_without_decoder_is_named_in_words(
    tmp_path: Path, dicom: Write, grey: Any
) -> None:
    path = dicom(tmp_path / "x.dcm", grey(8, 8), syntax=RLELossless, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    dataset.save_as(path)
    with pytest.raises(UnreadableImage, match=r"x\.dcm .*MPEG2 Main.*12 bits.*convert it to"):
        read_image(path)


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR.*expected a grey DICOM"),
        ({"SamplesPerPixel": 3}, "3 sample"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "32 of 32"),
        ({"BitsStored": 12, "HighBit": 15}, "bits up to 15, 12 of 16"),
        ({"Rows": 0}, "claims 8 x 0 pixels"),
        ({"Rows": 9}, "cannot be decoded.*Implicit VR Little Endian"),
        ({"Columns": None}, "no usable Columns"),
    ],
)
def test_images_of_another_make_are_refused_without_naming_the_person(
    tmp_path: Path,
    dicom: Write,
    grey: Any,
    person: tuple[str, ...],
    elements: dict[str, Any],
    says: str,
) -> None:
    path = dicom(tmp_path / "x.dcm", grey(8, 8), description="Doe^Jane follow-up", **elements)
    with pytest.raises(UnreadableImage, match=says) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert not [text for text in person if text in str(caught.value)]


REAL_FILES = {
    # width, height, and the greys of its darkest and brightest pixel under its first VOI, by hand:
    # 0..4095 through centre 2047, width 4095: (0 - 2046.5) / 4094 + 0.5 = 0.0001
    "MG1_J2KI": (3064, 4664, 8, 65535),
    # MONOCHROME1, 0..1023, centre 550, width 1024: 1 - ((1023 - 549.5) / 1023 + 0.5) = 0.0371
    "RG3_J2KR": (1760, 1760, 2434, 65535),
    "RG3_JLSL": (1760, 1760, 2434, 65535),
    "RG3_JPLL": (1760, 1760, 2434, 65535),
    "RG3_JPLY": (1760, 1760, 2434, 65535),
    "RG3_RLE": (1760, 1760, 2434, 65535),
    # padding, and entry 3471 - 625 of the first VOI LUT, 3990 of 4095
    "fodicom_GH133": (2394, 3062, 0, 63855),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL_FILES)
def test_every_real_file_is_read(shared_data: Path, name: str) -> None:
    width, height, darkest, brightest = REAL_FILES[name]
    path = shared_data / "dicom-syntaxes" / f"{name}.dcm"
    assert image_size(path) == (width, height)
    pixels = read_image(path)
    assert pixels.shape == (height, width)
    assert pixels.dtype == np.uint16
    assert (pixels.min(), pixels.max()) == (darkest, brightest)


@pytest.mark.shared
def test_no_real_file_is_refused(shared_data: Path) -> None:
    assert {path.stem for path in (shared_data / "dicom-syntaxes").glob("*.dcm")} == {*REAL_FILES}


@pytest.mark.parametrize("syntax", [JPEG2000Lossless])
def test_compressed_pixels_of_another_size_are_refused_before_decoding(
    tmp_path: Path, dicom: Write, grey: Any, syntax: str
) -> None:
    path = dicom(tmp_path / "x.dcm", grey(64, 48), syntax=syntax)
    content = path.read_bytes()
    # JPEG 2000's SIZ marker: capabilities, then the reference grid's width and height
    at = content.index(b"\xff\x4f\xff\x51") + 8
    path.write_bytes(content[:at] + struct.pack(">II", 32000, 32000) + content[at + 8 :])
    with pytest.raises(UnreadableImage, match="claims 32000 x 32000 pixels"):
        read_image(path)
    path.write_bytes(content[:at] + struct.pack(">II", 48, 65) + content[at + 8 :])
    with pytest.raises(UnreadableImage, match=r"holds 48 x 65 compressed pixels.*says 48 x 64"):
        read_image(path)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["RG3_JPLL", "RG3_JLSL"])
def test_a_jpeg_stream_of_another_size_is_refused_before_decoding(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    content = (shared_data / "dicom-syntaxes" / f"{name}.dcm").read_bytes()
    # start of frame: length 11, precision, height and width
    marker = b"\xff\xc3\x00\x0b" if name == "RG3_JPLL" else b"\xff\xf7\x00\x0b"
    at = content.index(marker) + 5
    assert struct.unpack(">HH", content[at : at + 4]) == (1760, 1760)
    path = tmp_path / "x.dcm"
    path.write_bytes(content[:at] + struct.pack(">HH", 60000, 60000) + content[at + 4 :])
    with pytest.raises(UnreadableImage, match="claims 60000 x 60000 pixels"):
        read_image(path)
