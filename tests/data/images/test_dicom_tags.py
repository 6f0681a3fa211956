"""One bad element of a header: the file and the element are named, whatever pydicom raises."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from mcalc.data.images.deflated import MAX_BYTES
from mcalc.data.images.image_file import image_size, pixel_spacing, read_image
from mcalc.data.images.unreadable import UnreadableImage

Write = Callable[..., Path]
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
WINDOW = {"WindowCenter": 2000, "WindowWidth": 1500}


def element(keyword: str, vr: bytes, value: bytes) -> bytes:
    """In explicit VR little endian, whatever the standard says the VR should be."""
    tag = pydicom.tag.Tag(keyword)
    head = struct.pack("<HH", tag.group, tag.element) + vr
    value += b" " * (len(value) % 2)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def with_element(path: Path, dicom: Write, keyword: str, vr: bytes, value: bytes) -> Path:
    """A file of 64 x 64 pixels whose element has this VR and these bytes."""
    elements = {"SeriesDescription": "cropped images", **WINDOW, "RescaleSlope": 1}
    elements |= {"RescaleIntercept": 0, "PixelSpacing": [0.1, 0.1], "NumberOfFrames": 1}
    dicom(path, RAMP, syntax=ExplicitVRLittleEndian, BitsStored=12, HighBit=11, **elements)
    dataset = pydicom.dcmread(path)
    after = min((each.tag for each in dataset if each.tag > pydicom.tag.Tag(keyword)), default=None)
    assert after is not None
    if keyword in dataset:
        del dataset[keyword]
    dataset.save_as(path)
    content = path.read_bytes()
    at = content.index(struct.pack("<HH", after.group, after.element), 300)
    path.write_bytes(content[:at] + element(keyword, vr, value) + content[at:])
    return path


LOOKED_AT = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "PhotometricInterpretation", "WindowCenter", "WindowWidth",
    "RescaleSlope", "RescaleIntercept", "VOILUTSequence",
)  # fmt: skip


@pytest.mark.parametrize("keyword", LOOKED_AT)
@pytest.mark.parametrize(
    ("vr", "value"),
    [(b"QQ", b"12"), (b"PN", b"Doe^Jane"), (b"SQ", b"\0\1\2\3\4\5\6\7"), (b"DS", b"twelve")],
    ids=["unknown VR", "name", "sequence", "text"],
)
def test_a_bad_element_is_named_with_its_file(
    tmp_path: Path, dicom: Write, keyword: str, vr: bytes, value: bytes
) -> None:
    path = with_element(tmp_path / "x.dcm", dicom, keyword, vr, value)
    with pytest.raises(
        UnreadableImage, match=r"x\.dcm (.*" + keyword + "|cannot be parsed)"
    ) as error:
        read_image(path)
    assert "Doe" not in str(error.value)


@pytest.mark.parametrize(
    ("keyword", "value", "found"),
    [
        ("WindowCenter", b"nan", "nan"),
        ("WindowWidth", b"inf", "inf"),
        ("RescaleSlope", b"-Infinity", "-inf"),
        ("RescaleIntercept", b"1e999", "inf"),
        ("WindowWidth", b"2000\\nan", "2000, nan"),
    ],
)
def test_a_number_must_be_finite(
    tmp_path: Path, dicom: Write, keyword: str, value: bytes, found: str
) -> None:
    path = with_element(tmp_path / "x.dcm", dicom, keyword, b"DS", value)
    with pytest.raises(UnreadableImage, match=rf"has a {keyword} that is {found}: expected a fin"):
        read_image(path)


@pytest.mark.parametrize(("slope", "intercept"), [(b"1e308", b"0"), (b"1", b"1e300"), (b"0", b"5")])
def test_a_rescale_that_leaves_no_picture_is_refused(
    tmp_path: Path, dicom: Write, slope: bytes, intercept: bytes
) -> None:
    path = with_element(tmp_path / "x.dcm", dicom, "RescaleSlope", b"DS", slope)
    dataset = pydicom.dcmread(path)
    dataset.RescaleIntercept = intercept.decode()
    del dataset.WindowCenter
    dataset.save_as(path)
    with pytest.raises(UnreadableImage, match=r"its RescaleSlope"):
        read_image(path)


@pytest.mark.parametrize(
    ("keyword", "comma", "point"),
    [
        ("WindowCenter", b"2000,5", b"2000.5"),
        ("WindowWidth", b" 1500,25 ", b"1500.25"),
        ("WindowWidth", b"1500,0\\3000,0", b"1500\\3000"),
        ("RescaleIntercept", b"-1,5e1", b"-15"),
        ("WindowCenter", b"0,094", b"0.094"),
        ("WindowWidth", b"1500\\", b"1500"),
    ],
)
def test_a_decimal_comma_is_a_point(
    tmp_path: Path, dicom: Write, keyword: str, comma: bytes, point: bytes
) -> None:
    read = [
        read_image(with_element(tmp_path / f"{number}.dcm", dicom, keyword, b"DS", value))
        for number, value in enumerate((comma, point))
    ]
    np.testing.assert_array_equal(*read)


@pytest.mark.parametrize("value", [b"2,048", b"-1,024", b"2_048", b"2.000,5", b"\\1500"])
def test_a_number_that_may_be_another_is_refused(
    tmp_path: Path, dicom: Write, value: bytes
) -> None:
    path = with_element(tmp_path / "x.dcm", dicom, "WindowCenter", b"DS", value)
    with pytest.raises(UnreadableImage, match=r"has a WindowCenter in its header that cannot be"):
        read_image(path)


def test_a_comma_of_spacing_is_read_and_what_is_no_number_is_not(
    tmp_path: Path, dicom: Write
) -> None:
    path = with_element(tmp_path / "x.dcm", dicom, "PixelSpacing", b"DS", b"0,07\\0,07")
    assert pixel_spacing(path) == pytest.approx(0.07)
    path = with_element(tmp_path / "x.dcm", dicom, "PixelSpacing", b"DS", b"coarse")
    assert pixel_spacing(path) is None


def test_a_value_of_megabytes_is_not_converted(tmp_path: Path, dicom: Write) -> None:
    numbers = b"\\".join([b"1"] * 30_000)
    path = with_element(tmp_path / "x.dcm", dicom, "WindowCenter", b"DS", numbers)
    with pytest.raises(UnreadableImage, match=r"has a WindowCenter that has 60000 bytes"):
        read_image(path)


def test_an_empty_function_is_linear(tmp_path: Path, dicom: Write) -> None:
    path = with_element(tmp_path / "x.dcm", dicom, "VOILUTFunction", b"CS", b"")
    plain = dicom(tmp_path / "y.dcm", RAMP, BitsStored=12, HighBit=11, **WINDOW)
    np.testing.assert_array_equal(read_image(path), read_image(plain))


def deflated(path: Path, dicom: Write, content: bytes) -> Path:
    """A file whose data set is `content`, deflated."""
    dicom(path, RAMP, syntax=ExplicitVRLittleEndian)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    whole = path.read_bytes()
    length = struct.unpack("<I", whole[140:144])[0]
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(whole[: 144 + length] + squeeze.compress(content) + squeeze.flush())
    return path


def test_a_deflated_file_is_read(tmp_path: Path, dicom: Write) -> None:
    path = dicom(tmp_path / "x.dcm", RAMP, syntax=ExplicitVRLittleEndian)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    np.testing.assert_array_equal(read_image(path), RAMP)
    path = deflated(tmp_path / "y.dcm", dicom, element("Rows", b"US", b"\1\0"))
    with pytest.raises(UnreadableImage, match="no usable Columns"):
        read_image(path)


@pytest.mark.parametrize("read", [image_size, read_image, pixel_spacing])
def test_a_deflated_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, dicom: Write, read: Callable[[Path], Any]
) -> None:
    path = deflated(tmp_path / "x.dcm", dicom, b"\0" * (MAX_BYTES + 1))
    assert path.stat().st_size < 500_000
    with pytest.raises(UnreadableImage, match=r"unpacks to more than the 160 MB"):
        read(path)
