"""The small inputs that once went wrong, each with its right answer (shared/cases/README.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcalc.config import ClaheConfig
from mcalc.data.images.clahe import enhance
from mcalc.data.images.image_file import image_size, read_image
from mcalc.data.images.unreadable import UnreadableImage

pytestmark = pytest.mark.shared


@pytest.fixture
def cases(shared_data: Path) -> Path:
    return shared_data.parent / "cases"


@pytest.mark.parametrize(
    "name", ["voi_rescale_imp", "voi_rescale_ss", "voilut16decl", "j2k_hdr16", "j2k_ok"]
)
def test_they_show_the_plain_scene(cases: Path, name: str) -> None:
    plain = read_image(cases / "dicom" / "plain12.dcm")
    assert plain.mean() == pytest.approx(36_008, abs=1)
    np.testing.assert_array_equal(read_image(cases / "dicom" / f"{name}.dcm"), plain)


def test_a_comma_and_an_empty_function_are_a_linear_window(cases: Path) -> None:
    comma = read_image(cases / "dicom" / "win_comma.dcm").astype(int)
    point = read_image(cases / "dicom" / "win_fn_empty.dcm").astype(int)
    # by half a value of 1500, PS3.3 C.11.2.1.2.1
    assert 0 < np.abs(comma - point).max() <= np.ceil(0.5 / 1499 * 65_535)


@pytest.mark.parametrize(
    "name",
    [
        "dicom/more_than_bits.dcm",
        "dicom/nf0.dcm",
        "faults/rle_panic.dcm",
        "faults/dicomhand_MEM_1.dcm",
        "faults/dicom_NotImplementedError_at_dicom.py_203_2.dcm",
        "faults/dicom_OSError_at_dicom.py_94_1.dcm",
        "faults/dicom_TypeError_at_grey_scale.py_118_1.dcm",
    ],
)
@pytest.mark.filterwarnings("default")
def test_they_are_refused(cases: Path, name: str) -> None:
    with pytest.raises(UnreadableImage, match=Path(name).stem):
        read_image(cases / name)


def test_rasters_are_as_viewers_show_them(cases: Path) -> None:
    assert image_size(cases / "raster" / "exif6.jpg") == (96, 128)
    assert read_image(cases / "raster" / "exif6.jpg").shape == (128, 96)
    assert read_image(cases / "raster" / "bigtext.png").shape == (96, 128)


def test_twelve_bits_in_sixteen_are_the_scene_once_that_is_said(cases: Path) -> None:
    scene = read_image(cases / "raster" / "g16.png").astype(int)
    mended = read_image(cases / "raster" / "g12in16.png", bits_stored=12).astype(int)
    assert np.abs(mended - scene).max() <= 16 * 16 + 16


@pytest.mark.parametrize("limit", [1.0, 3.5, 10.0])
def test_real_crops_are_one_picture_at_eight_and_at_sixteen_bits(
    shared_data: Path, limit: float
) -> None:
    clahe = ClaheConfig(clip_limit=limit)
    paths = sorted((shared_data / "cbis-ddsm").rglob("*.dcm"))
    assert paths
    for path in paths:
        deep = read_image(path)
        shallow = np.rint(deep / 257).astype(np.uint8)
        difference = enhance(deep, clahe).astype(float) - enhance(shallow, clahe)
        assert np.abs(difference).mean() <= 2
