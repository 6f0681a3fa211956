"""What stored values look like: DICOM's formulas by hand, pydicom's own functions, real files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)

from mcalc.data.images.frame_decoders import frame_decoder
from mcalc.data.images.image_file import pixel_spacing, read_image
from mcalc.data.images.unreadable import UnreadableImage

Write = Callable[..., Path]
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
TWELVE_BITS = {"BitsStored": 12, "HighBit": 11}
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def lut(entries: npt.ArrayLike, first: int, depth: int) -> Sequence:
    """A modality or VOI LUT of one item, as files have it."""
    values = [int(value) for value in np.asarray(entries)]
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values) % 65536, first, depth])
    item.add_new("LUTData", "US", values)
    return Sequence([item])


@pytest.fixture
def shown(tmp_path: Path, dicom: Write) -> Callable[..., list[int]]:
    """Greys of a few stored values under the elements given."""

    def show(values: list[int], dtype: Any = np.uint16, **elements: Any) -> list[int]:
        pixels = np.array([values], dtype=dtype)
        return read_image(dicom(tmp_path / "x.dcm", pixels, **elements))[0].tolist()

    return show


# --- by hand ------------------------------------------------------------------------------------


def test_a_linear_window_is_that_of_the_standard(shown: Callable[..., list[int]]) -> None:
    # C.11.2.1.2.1 with c = 2048, w = 4095: y = ((x - 2047.5) / 4094 + 0.5) * 65535
    greys = shown([0, 1, 2047, 2048, 4094, 4095], WindowCenter=2048, WindowWidth=4095)
    # x <= 2047.5 - 2047 is black, x > 2047.5 + 2047 white
    expected = [0, *(round(((x - 2047.5) / 4094 + 0.5) * 65535) for x in (1, 2047, 2048, 4094))]
    assert greys == [*expected, 65535]


def test_windows_clip_at_both_ends(shown: Callable[..., list[int]]) -> None:
    window = {"WindowCenter": 100, "WindowWidth": 101}
    assert shown([0, 49, 50, 149, 150, 60000], **window) == [0, 0, 328, 65207, 65535, 65535]
    exact = {**window, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown([0, 50, 75, 100, 150, 60000], **exact) == [0, 0, 16384, 32768, 65535, 65535]


def test_a_sigmoid_is_that_of_the_standard(shown: Callable[..., list[int]]) -> None:
    values = [0, 500, 1000, 1200, 4000]
    greys = shown(values, WindowCenter=1000, WindowWidth=400, VOILUTFunction="SIGMOID")
    assert greys == [round(65535 / (1 + np.exp(-4 * (x - 1000) / 400))) for x in values]


def test_the_first_of_several_windows_counts(shown: Callable[..., list[int]]) -> None:
    one = shown([10, 20, 30], WindowCenter=20, WindowWidth=15)
    several = shown([10, 20, 30], WindowCenter=[20, 2000], WindowWidth=[15, 1])
    assert one == several


def test_windows_are_of_rescaled_values(shown: Callable[..., list[int]]) -> None:
    # stored 0 and 100 are -1000 and -900, the window's ends
    rescaled = {"RescaleSlope": 1, "RescaleIntercept": -1000, "VOILUTFunction": "LINEAR_EXACT"}
    greys = shown([0, 50, 100], WindowCenter=-950, WindowWidth=100, **rescaled)
    assert greys == [0, 32768, 65535]


def test_a_slope_without_a_window_changes_nothing_but_its_sign(
    shown: Callable[..., list[int]],
) -> None:
    values = [0, 1, 30000, 65535]
    assert shown(values, RescaleSlope=0.25, RescaleIntercept=-7) == values
    inverted = [65535 - value for value in values]
    assert shown(values, RescaleSlope=-2, RescaleIntercept=3) == inverted


def test_a_voi_lut_is_preferred_to_a_window(shown: Callable[..., list[int]]) -> None:
    # entries for 100, 101, 102; what lies outside takes the first or the last
    greys = shown(
        [0, 100, 101, 102, 103, 60000], VOILUTSequence=lut([0, 200, 255], 100, 8),
        WindowCenter=1, WindowWidth=2,
    )  # fmt: skip
    assert greys == [0, 0, 51400, 65535, 65535, 65535]


def test_an_eight_bit_lut_may_be_longer_than_256_entries(shown: Callable[..., list[int]]) -> None:
    table = np.arange(4096) // 16
    greys = shown([0, 255, 256, 4095], VOILUTSequence=lut(table, 0, 8), **TWELVE_BITS)
    assert greys == [257 * (value // 16) for value in (0, 255, 256, 4095)]


@pytest.mark.parametrize("length", [32_767, 32_768, 40_000, 65_535, 65_536])
def test_a_lut_may_have_any_length_that_its_descriptor_can_say(
    shown: Callable[..., list[int]], length: int
) -> None:
    # PS3.3 C.11.1.1.1: 65536 is written as 0
    table, last = np.arange(length, dtype="<u2"), length - 1
    described = long_lut(table, [length % 65_536, 0, 16], "US")
    assert shown([0, 1, last, 65_535], VOILUTSequence=described) == [0, 1, last, last]
    # where pixels are signed so is the descriptor: a length above 32767 reads as negative at first
    described = long_lut(table, [length % 65_536, 0, 16], "SS")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid value: a value for a tag with VR US")
        greys = shown([0, 1, 32_766, 32_767], np.int16, VOILUTSequence=described)
    assert greys == [0, 1, 32_766, min(last, 32_767)]


def long_lut(entries: npt.NDArray[np.uint16], descriptor: list[int], vr: str) -> Sequence:
    """A LUT whose entries need more bytes than the VR of `lut` can say."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, descriptor)
    item.add_new("LUTData", "OW", entries.tobytes())
    return Sequence([item])


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_lut_of_rescaled_values_may_begin_below_zero(
    shown: Callable[..., list[int]], syntax: str, vr: str
) -> None:
    # implicit VR has no sign: 64512 is -1024 where values can be negative (C.11.2.1.1)
    first = 64_512 if vr == "US" else -1024
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [3, first, 8])
    item.add_new("LUTData", "US", [0, 100, 255])
    rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    table = {"VOILUTSequence": Sequence([item])}
    greys = shown([0, 1, 2, 900], syntax=syntax, **TWELVE_BITS, **rescale, **table)
    assert greys == [0, 25_700, 65_535, 65_535]
    # where no value is negative it is 64512, and all values lie before it
    if vr == "US":
        assert shown([0, 64_512, 64_513, 65_535], syntax=syntax, **table) == [0, 0, 25_700, 65_535]


@pytest.mark.parametrize(
    ("used", "declared", "white"),
    [
        (4095, 16, 4095), (16_383, 16, 16_383), (1000, 12, 1023), (32_767, 16, 65_535),
        (200, 8, 255), (4095, 8, 4095), (60_000, 12, 65_535),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_lut_of_other_bits_than_declared_has_its_own_white(
    shown: Callable[..., list[int]], which: str, used: int, declared: int, white: int
) -> None:
    table = {which: lut([0, used // 2, used], 0, declared)}
    assert shown([0, 1, 2], **table) == [
        round(entry / white * 65_535) for entry in (0, used // 2, used)
    ]


@pytest.mark.parametrize("which", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_sequence_without_items_is_none(shown: Callable[..., list[int]], which: str) -> None:
    window = {"WindowCenter": 2, "WindowWidth": 4}
    assert shown([0, 1, 2], **{which: Sequence([])}, **window) == shown([0, 1, 2], **window)


def test_a_function_in_small_letters_is_that_function(shown: Callable[..., list[int]]) -> None:
    window = {"WindowCenter": 2, "WindowWidth": 4}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid value for VR CS")
        small = shown([0, 1, 2], **window, VOILUTFunction="sigmoid")
    assert small == shown([0, 1, 2], **window, VOILUTFunction="SIGMOID")


def test_a_modality_lut_comes_before_the_window(shown: Callable[..., list[int]]) -> None:
    table = lut([400, 300, 200, 100], 0, 12)
    window = {"WindowCenter": 250, "WindowWidth": 300, "VOILUTFunction": "LINEAR_EXACT"}
    greys = shown([0, 1, 2, 3], ModalityLUTSequence=table, **window)
    assert greys == [65535, 43690, 21845, 0]
    # without a window: 4095 is white
    table = lut([4000, 3000, 2000, 100], 0, 12)
    assert shown([0, 3], ModalityLUTSequence=table) == [round(4000 / 4095 * 65535), 1600]


def test_signed_values_are_windowed_as_signed(shown: Callable[..., list[int]]) -> None:
    window = {"WindowCenter": 0, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown([-2000, -500, 0, 1000], np.int16, **window) == [0, 16384, 32768, 65535]
    table = {"VOILUTSequence": lut([0, 100, 255], -1, 8)}
    assert shown([-5, -1, 0, 1, 9], np.int16, **table) == [0, 0, 25700, 65535, 65535]


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        # both say the same, once
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inversion_comes_last(shown: Callable[..., list[int]], elements: dict[str, Any]) -> None:
    window = {"WindowCenter": 100, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown([50, 75, 150], **window, **elements) == [65535, 49151, 0]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_whatever_the_scale(
    shown: Callable[..., list[int]], photometric: str, syntax: str
) -> None:
    elements = {"PixelPaddingValue": 4095, "PhotometricInterpretation": photometric}
    greys = shown([0, 4094, 4095], syntax=syntax, **TWELVE_BITS, **elements)
    step = round(65535 / 4095)
    assert greys == ([65535, step, 0] if photometric == "MONOCHROME1" else [0, 65535 - step, 0])
    limit = {"PixelPaddingRangeLimit": 4000}
    greys = shown([3999, 4000, 4095], syntax=syntax, **TWELVE_BITS, **elements, **limit)
    assert [grey > 0 for grey in greys] == [True, False, False]
    window = {"WindowCenter": 10, "WindowWidth": 2}
    assert shown([3999, 4095], syntax=syntax, **elements, **window, **TWELVE_BITS)[1] == 0


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_signed_padding(shown: Callable[..., list[int]], syntax: str) -> None:
    greys = shown([-2000, -1999, 0], np.int16, PixelPaddingValue=-2000, syntax=syntax)
    assert greys == [0, 32768 - 1999, 32768]


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1])
def test_a_stream_of_fewer_bits_than_the_header_says_has_its_own_white(
    tmp_path: Path, dicom: Write, bits: int, syntax: str
) -> None:
    pixels = np.linspace(0, 2**bits - 1, 600).astype(np.uint16).reshape(20, 30)
    path = dicom(tmp_path / "x.dcm", pixels, syntax=syntax, BitsStored=bits, HighBit=bits - 1)
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.save_as(path)
    expected = np.rint(pixels / (2**bits - 1) * 65_535)
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("stored", ["signed", "unsigned"])
def test_a_stream_of_another_sign_than_the_header_says_is_refused(
    tmp_path: Path, dicom: Write, stored: str
) -> None:
    signed = RAMP.astype(np.int16)
    path = dicom(
        tmp_path / "x.dcm", signed if stored == "signed" else RAMP, syntax=JPEG2000Lossless
    )
    dataset = pydicom.dcmread(path)
    dataset.PixelRepresentation = 1 - dataset.PixelRepresentation
    dataset.save_as(path)
    with pytest.raises(
        UnreadableImage, match=rf"{stored} compressed pixels where .*Representation"
    ):
        read_image(path)


def test_eight_bits_stay_eight(tmp_path: Path, dicom: Write) -> None:
    path = dicom(
        tmp_path / "x.dcm", np.array([[0, 100, 200]], np.uint8), WindowCenter=100,
        WindowWidth=200, VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.tolist() == [[0, 128, 255]]


# --- against pydicom ----------------------------------------------------------------------------

CURVE = np.rint(1023 * np.sqrt(np.arange(3000) / 2999)).astype(int)


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 1500, "WindowWidth": 700},
        {"WindowCenter": 1500.5, "WindowWidth": 700.25, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2653, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 1, "WindowWidth": 1},
        {"VOILUTSequence": lut(CURVE, 600, 10)},
        {
            "ModalityLUTSequence": lut(64 * CURVE, 10, 16),
            "WindowCenter": 32000, "WindowWidth": 20000,
        },
        {
            "RescaleSlope": 2, "RescaleIntercept": -1024,
            "WindowCenter": 900, "WindowWidth": 3000,
        },
    ],
    ids=["linear", "exact", "sigmoid", "width 1", "lut", "modality lut", "rescaled"],
)  # fmt: skip
@pytest.mark.parametrize("syntax", [*SYNTAXES, JPEG2000Lossless])
def test_the_chain_is_pydicoms(
    tmp_path: Path, dicom: Write, elements: dict[str, Any], syntax: str
) -> None:
    path = dicom(tmp_path / "x.dcm", RAMP, syntax=syntax, **TWELVE_BITS, **elements)
    dataset = pydicom.dcmread(path)
    expected = apply_voi_lut(apply_modality_lut(RAMP, dataset), dataset).astype(np.float64)
    if "VOILUTSequence" in elements:
        low, high = 0.0, 1023.0
    elif "ModalityLUTSequence" in elements:
        low, high = 0.0, 65535.0
    else:
        slope, shift = elements.get("RescaleSlope", 1), elements.get("RescaleIntercept", 0)
        low, high = shift, 4095 * slope + shift
    greys = (expected - low) / (high - low) * 65535
    assert np.ptp(greys) > 60000
    np.testing.assert_allclose(read_image(path), greys, atol=0.501)


# --- what cannot be applied ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"WindowCenter": 5, "WindowWidth": 0}, "WindowWidth must be at least 1"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "VOILUTFunction LIN"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "RescaleSlope is 0"),
        ({"VOILUTSequence": Sequence([Dataset()])}, "VOILUTSequence has no usable LUTDescr"),
        ({"VOILUTSequence": lut([1, 2, 3], 0, 4)}, "3 entries of 4 bits"),
        ({"ModalityLUTSequence": lut([1, 2, 3], 0, 40)}, "3 entries of 40 bits"),
    ],
)
def test_what_cannot_be_applied_is_said_and_not_skipped(
    tmp_path: Path, dicom: Write, elements: dict[str, Any], says: str
) -> None:
    path = dicom(tmp_path / "x.dcm", RAMP, **TWELVE_BITS, **elements)
    with pytest.raises(UnreadableImage, match=rf"x\.dcm cannot be shown as its.*{says}"):
        read_image(path)


def test_an_empty_window_is_none(shown: Callable[..., list[int]]) -> None:
    assert shown([0, 77, 65535], WindowCenter=None, WindowWidth=None) == [0, 77, 65535]


# --- real files ---------------------------------------------------------------------------------


@pytest.mark.shared
def test_crops_of_cbis_ddsm_carry_no_grey_scale_and_come_out_as_stored(shared_data: Path) -> None:
    paths = sorted((shared_data / "cbis-ddsm").rglob("*.dcm"))
    assert len(paths) == 13
    for path in paths:
        dataset = pydicom.dcmread(path)
        assert not {
            "WindowCenter", "VOILUTSequence", "RescaleSlope", "ModalityLUTSequence",
            "PixelPaddingValue", "PresentationLUTShape",
        } & set(dataset.dir())  # fmt: skip
        np.testing.assert_array_equal(read_image(path), dataset.pixel_array)
        assert pixel_spacing(path) is None


@pytest.mark.shared
def test_a_real_mammogram_with_every_element(shared_data: Path) -> None:
    # three VOI LUTs, three sigmoid windows, a rescale and padding from 0 to 30
    path = shared_data / "dicom-syntaxes" / "fodicom_GH133.dcm"
    dataset = pydicom.dcmread(path)
    stored, _ = frame_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset)
    expected = apply_voi_lut(stored, dataset, index=0, prefer_lut=True) / 4095 * 65535
    expected[stored <= 30] = 0
    np.testing.assert_allclose(read_image(path), expected, atol=0.501)
    assert pixel_spacing(path) == pytest.approx(0.09409090909091)


# --- spacing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.07, 0.07]}, 0.07),
        ({"PixelSpacing": [0.06, 0.08]}, 0.07),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, 0.1),
        (
            {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25},
            0.08,
        ),
        # calibrated, so magnification is in it
        (
            {
                "PixelSpacing": [0.09, 0.09], "ImagerPixelSpacing": [0.1, 0.1],
                "EstimatedRadiographicMagnificationFactor": 1.25,
            },
            0.09,
        ),
        # not calibrated: the detector's over again
        (
            {
                "PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.1, 0.1],
                "EstimatedRadiographicMagnificationFactor": 1.25,
            },
            0.08,
        ),
        ({"NominalScannedPixelSpacing": [0.0435, 0.0435]}, 0.0435),
        ({"PixelSpacing": [0, 0], "NominalScannedPixelSpacing": [0.05, 0.05]}, 0.05),
        ({"PixelSpacing": None}, None),
    ],
)  # fmt: skip
def test_millimetres_a_pixel(
    tmp_path: Path, dicom: Write, elements: dict[str, Any], expected: float | None
) -> None:
    path = dicom(tmp_path / "x.dcm", RAMP, **elements)
    found = pixel_spacing(path)
    assert found is None if expected is None else found == pytest.approx(expected)


def test_jpeg_and_png_do_not_state_their_scale(tmp_path: Path, jpeg: Write) -> None:
    assert pixel_spacing(jpeg(tmp_path / "x.jpg", np.zeros((8, 8), np.uint8))) is None
