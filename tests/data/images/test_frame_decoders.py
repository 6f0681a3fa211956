from __future__ import annotations

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mcalc.data.images.frame_decoders import frame_decoder
from mcalc.data.images.image_file import read_image
from mcalc.data.images.unreadable import UnreadableImage

Write = Callable[..., Path]
Pixels = npt.NDArray[np.integer]

LOSSLESS = [
    RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless,
    HTJ2KLosslessRPCL,
]  # fmt: skip
LOSSY = {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12, JPEGLSNearLossless: 12}
"""Those that lose something here -> bits stored; the encoder of the others is lossless too."""
ALL = [*LOSSLESS, *LOSSY, JPEG2000, HTJ2K]


def stored_values(path: Path) -> Pixels:
    dataset = pydicom.dcmread(path)
    values, _ = frame_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset)
    return values


def film(bits: int, signed: bool = False) -> Pixels:
    """A bright disc with noise, odd in width and height, that uses nearly all of its bits."""
    y, x = np.mgrid[-1:1:61j, -1:1:47j]
    noise = np.random.default_rng(0).normal(0, 0.01, x.shape)
    shape = np.clip(0.03 + 0.9 * np.sqrt(np.clip(1 - x**2 - y**2, 0, None)) + noise, 0, 1)
    values = np.rint(shape * (2**bits - 1)).astype(np.int64) - signed * 2 ** (bits - 1)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def compressed(path: Path, dicom: Write, syntax: UID, pixels: Pixels, bits: int) -> Path:
    return dicom(path, pixels, syntax=syntax, BitsStored=bits, HighBit=bits - 1)


def with_frame(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The same file with another frame: whole as a file, whatever the frame is."""
    dataset = pydicom.dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([change(frame)])
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", [*LOSSLESS, JPEG2000, HTJ2K], ids=lambda syntax: syntax.keyword)
def test_lossless_frames_come_back_as_stored(
    tmp_path: Path, dicom: Write, syntax: UID, bits: int, signed: bool
) -> None:
    pixels = film(bits, signed)
    values = stored_values(compressed(tmp_path / "x.dcm", dicom, syntax, pixels, bits))
    assert values.dtype == pixels.dtype
    np.testing.assert_array_equal(values, pixels)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.keyword)
def test_lossy_frames_come_back_nearly_as_stored(tmp_path: Path, dicom: Write, syntax: UID) -> None:
    pixels = film(LOSSY[syntax])
    values = stored_values(compressed(tmp_path / "x.dcm", dicom, syntax, pixels, LOSSY[syntax]))
    assert values.dtype == pixels.dtype
    assert np.corrcoef(values.ravel(), pixels.ravel())[0, 1] > 0.999


def test_lossy_white_does_not_wrap_to_black(tmp_path: Path, dicom: Write) -> None:
    # 10 bits in JPEG's 12: round sharp edges the decoder goes beyond 1023
    pixels = np.where(np.indices((64, 64)).sum(axis=0) % 11 < 5, 1023, 0).astype(np.uint16)
    path = compressed(tmp_path / "x.dcm", dicom, JPEGExtended12Bit, pixels, 10)
    values = stored_values(path)
    assert values.max() == 1023
    assert np.abs(values.astype(int) - pixels).max() < 100
    assert read_image(path).max() == 65535


def test_jpeg_extended_may_hold_eight_bits(tmp_path: Path, dicom: Write) -> None:
    path = compressed(tmp_path / "8.dcm", dicom, JPEGBaseline8Bit, film(8), 8)
    frame = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    expected = stored_values(path)
    for bits, pixels in ((8, film(8)), (12, film(12))):
        path = compressed(tmp_path / "x.dcm", dicom, JPEGExtended12Bit, pixels, bits)
        values = stored_values(with_frame(path, lambda _: frame))
        assert values.dtype == pixels.dtype
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("syntax", ALL, ids=lambda syntax: syntax.keyword)
def test_decoders_of_this_project_leave_pydicoms_alone(syntax: UID) -> None:
    assert "imagecodecs" in frame_decoder(syntax).available_plugins
    assert {"gdcm", "pylibjpeg", "pillow", "pyjpegls"}.isdisjoint(
        frame_decoder(syntax).available_plugins
    )
    assert "imagecodecs" not in get_decoder(syntax).available_plugins


def test_uncompressed_files_need_no_decoder_and_films_have_none() -> None:
    assert frame_decoder(ExplicitVRLittleEndian) is get_decoder(ExplicitVRLittleEndian)
    assert frame_decoder(MPEG2MPML) is None


# --- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("syntax", ALL, ids=lambda syntax: syntax.keyword)
def test_a_frame_without_its_end_is_refused_in_words(
    tmp_path: Path, dicom: Write, syntax: UID, share: float
) -> None:
    bits = LOSSY.get(syntax, 12)
    path = compressed(tmp_path / "x.dcm", dicom, syntax, film(bits), bits)
    with_frame(path, lambda frame: frame[: int(len(frame) * share)])
    says = rf"x\.dcm cannot be decoded \(transfer syntax .*, {bits} bits\).*download or export"
    with pytest.raises(UnreadableImage, match=says):
        read_image(path)


def rle(*segments: bytes, offsets: tuple[int, ...] = ()) -> bytes:
    """A frame of run-length coded segments; `offsets` in place of the right ones."""
    ends = np.cumsum([64, *(len(segment) for segment in segments)]).tolist()
    header = [len(segments), *(offsets or ends[:-1])]
    return struct.pack("<16L", *header, *[0] * (16 - len(header))) + b"".join(segments)


BLACK_ROWS = b"\xf9\x00" * 4
"""Four rows of eight pixels, each a run."""


@pytest.mark.parametrize(
    "frame",
    [
        rle(BLACK_ROWS, BLACK_ROWS, offsets=(64, 4_000_000_000)),
        rle(BLACK_ROWS, BLACK_ROWS, offsets=(64, 60)),
        rle(BLACK_ROWS, BLACK_ROWS[:-2]),
        rle(BLACK_ROWS),
        b"\x02\x00",
        # a literal run of four values, of which the frame has one
        rle(BLACK_ROWS, BLACK_ROWS[:-2] + b"\x03\x00"),
    ],
    ids=["offset beyond", "offset before", "short", "one segment", "no header", "run cut off"],
)
def test_damaged_run_lengths_are_refused(tmp_path: Path, dicom: Write, frame: bytes) -> None:
    path = dicom(tmp_path / "x.dcm", np.zeros((4, 8), np.uint16), syntax=RLELossless)
    np.testing.assert_array_equal(
        read_image(with_frame(path, lambda _: rle(BLACK_ROWS, BLACK_ROWS))), 0
    )
    with_frame(path, lambda _: frame)
    with pytest.raises(UnreadableImage, match=r"x\.dcm cannot be decoded \(transfer syntax RLE"):
        read_image(path)


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [(JPEGLossless, 12), (JPEGLosslessSV1, 16), (JPEGBaseline8Bit, 8), (JPEGExtended12Bit, 12),
     (JPEGLSLossless, 12)],
)  # fmt: skip
def test_a_frame_that_was_cut_and_then_closed_is_refused(
    tmp_path: Path, dicom: Write, syntax: UID, bits: int
) -> None:
    path = compressed(tmp_path / "x.dcm", dicom, syntax, film(bits), bits)
    read_image(path)
    for share in (0.5, 0.9):
        compressed(path, dicom, syntax, film(bits), bits)
        with_frame(path, lambda whole, share=share: whole[: int(share * len(whole))] + b"\xff\xd9")
        with pytest.raises(UnreadableImage, match=r"x\.dcm cannot be"):
            read_image(path)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
def test_a_frame_that_ends_in_the_middle_of_its_range_is_read(
    tmp_path: Path, dicom: Write, syntax: UID
) -> None:
    pixels = film(12)
    pixels[-9:] = 2048
    path = compressed(tmp_path / "x.dcm", dicom, syntax, pixels, 12)
    np.testing.assert_array_equal(stored_values(path), pixels)


@pytest.mark.filterwarnings("ignore:The decoded RLE segment contains non-conformant padding")
def test_surplus_pixels_at_a_segments_end_are_dropped(tmp_path: Path, dicom: Write) -> None:
    path = dicom(tmp_path / "x.dcm", np.zeros((4, 8), np.uint16), syntax=RLELossless)
    high, low = b"\xf9\x01" * 4 + b"\x01\x07\x07", b"\xf9\x02" * 4
    with_frame(path, lambda _: rle(high, low))
    np.testing.assert_array_equal(read_image(path), np.full((4, 8), 0x0102))


def test_a_frame_of_another_make_than_the_header_says_is_refused(
    tmp_path: Path, dicom: Write
) -> None:
    other = compressed(tmp_path / "other.dcm", dicom, JPEG2000Lossless, film(12), 12)
    frame = next(generate_frames(pydicom.dcmread(other).PixelData, number_of_frames=1))
    path = compressed(tmp_path / "deep.dcm", dicom, JPEG2000Lossless, film(8), 8)
    with pytest.raises(UnreadableImage, match=r"deep\.dcm cannot be decoded"):
        read_image(with_frame(path, lambda _: frame))


def test_colour_under_a_grey_header_is_refused(tmp_path: Path, dicom: Write, jpeg: Write) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    frame = jpeg(tmp_path / "x.jpg", colour).read_bytes()
    path = compressed(tmp_path / "x.dcm", dicom, JPEGBaseline8Bit, film(8), 8)
    with pytest.raises(UnreadableImage, match=r"x\.dcm cannot be decoded"):
        read_image(with_frame(path, lambda _: frame))


# --- several at once, and real files ------------------------------------------------------------


def test_threads_decode_each_their_own(tmp_path: Path, dicom: Write) -> None:
    pixels = film(12)
    paths = [
        compressed(tmp_path / f"{number}.dcm", dicom, syntax, np.roll(pixels, number), 12)
        for number, syntax in enumerate(LOSSLESS * 4)
    ]
    with ThreadPoolExecutor(8) as pool:
        for number, values in enumerate(pool.map(stored_values, paths)):
            np.testing.assert_array_equal(values, np.roll(pixels, number))


def test_several_threads_decode_one_large_jpeg_2000_frame(tmp_path: Path, dicom: Write) -> None:
    pixels = np.tile(film(12), (20, 22))
    assert pixels.size > 1_000_000
    path = compressed(tmp_path / "x.dcm", dicom, JPEG2000Lossless, pixels, 12)
    np.testing.assert_array_equal(stored_values(path), pixels)


REAL = ["MG1_J2KI", "RG3_J2KR", "RG3_JLSL", "RG3_JPLL", "RG3_JPLY", "RG3_RLE", "fodicom_GH133"]


@pytest.mark.shared
@pytest.mark.parametrize("name", [name for name in REAL if name.startswith("RG3")])
def test_one_real_film_in_five_codings(shared_data: Path, name: str) -> None:
    folder = shared_data / "dicom-syntaxes"
    expected = stored_values(folder / "RG3_RLE.dcm")
    values = stored_values(folder / f"{name}.dcm")
    if name == "RG3_JPLY":
        # 12-bit JPEG loses something; the others do not
        assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.9999
        assert np.abs(values.astype(int) - expected).max() < 50
    else:
        np.testing.assert_array_equal(values, expected)


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_a_real_file_cut_inside_its_frame_is_refused(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes((shared_data / "dicom-syntaxes" / f"{name}.dcm").read_bytes())
    with_frame(path, lambda frame: frame[: len(frame) // 2])
    with pytest.raises(UnreadableImage, match=r"x\.dcm cannot be decoded"):
        read_image(path)
