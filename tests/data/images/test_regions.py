"""Regions of a mammogram: windows against hand-made arrays, and what is said when one fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from builders import make_lesion
from PIL import Image

from mcalc.config import DataConfig, Region, ScaleUnit, Unit
from mcalc.data.images.regions import Cut, Unusable, cut, decoded_pixels, read_source
from mcalc.data.records import DefectKind, Lesion, Side
from mcalc.errors import UserError

Write = Callable[..., Path]
HEIGHT, WIDTH = 120, 90
MAMMOGRAM = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 6


def box_mask(
    top: int, left: int, height: int, width: int, shape: tuple[int, int] = (HEIGHT, WIDTH)
) -> npt.NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    mask[top : top + height, left : left + width] = 255
    return mask


@pytest.fixture
def lesion(tmp_path: Path, dicom: Write) -> Callable[..., Lesion]:
    def make(mask: npt.NDArray[np.uint8], **elements: Any) -> Lesion:
        return replace(
            make_lesion(1),
            full=dicom(tmp_path / "full.dcm", MAMMOGRAM, **elements),
            mask=dicom(tmp_path / "mask.dcm", mask),
        )

    return make


def window(size: float, margin: float = 0, **settings: Any) -> DataConfig:
    return DataConfig(region=Region.patch, patch_size=size, patch_margin=margin, **settings)


def region(lesion: Lesion, settings: DataConfig) -> Cut:
    return cut(read_source(lesion, settings), lesion, settings)


def test_a_crop_is_the_file_as_it_is(tmp_path: Path, dicom: Write) -> None:
    lesion = make_lesion(1, crop=dicom(tmp_path / "x.dcm", MAMMOGRAM))
    np.testing.assert_array_equal(region(lesion, DataConfig()).pixels, MAMMOGRAM)


def test_a_window_is_centred_on_the_masks_box(lesion: Callable[..., Lesion]) -> None:
    # rows 50..60, columns 30..50: centre (55, 40)
    found = region(lesion(box_mask(50, 30, 10, 20)), window(32))
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[39:71, 24:56])
    assert found.lesion_size == (20, 10)
    assert found.padding == (0, 0, 0, 0)
    assert found.defects == ()


def test_the_box_is_of_all_the_masks_parts(lesion: Callable[..., Lesion]) -> None:
    mask = box_mask(20, 20, 2, 2) | box_mask(60, 50, 4, 6)
    found = region(lesion(mask), window(60))
    assert found.lesion_size == (36, 44)
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[12:72, 8:68])


@pytest.mark.parametrize(
    ("top", "left", "rows", "columns"),
    [
        (0, 0, slice(0, 32), slice(0, 32)),
        (HEIGHT - 4, WIDTH - 4, slice(88, 120), slice(58, 90)),
        (0, 50, slice(0, 32), slice(36, 68)),
    ],
)
def test_a_window_at_the_edge_moves_onto_the_image(
    lesion: Callable[..., Lesion], top: int, left: int, rows: slice, columns: slice
) -> None:
    found = region(lesion(box_mask(top, left, 4, 4)), window(32))
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[rows, columns])
    assert found.padding == (0, 0, 0, 0)


def test_an_image_smaller_than_the_window_is_padded(lesion: Callable[..., Lesion]) -> None:
    # as high as the image, wider by ten: as the lesion is far to the right, all of it on the left
    found = region(lesion(box_mask(50, 80, 4, 4)), window(120))
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM)
    assert found.padding == (0, 0, 0, 30)
    found = region(lesion(box_mask(50, 40, 10, 10)), window(120))
    assert found.padding == (0, 0, 15, 15)


@pytest.mark.parametrize(("margin", "fits"), [(6.0, True), (6.5, False)])
def test_a_lesion_that_leaves_no_margin_is_counted_and_still_centred(
    lesion: Callable[..., Lesion], margin: float, fits: bool
) -> None:
    found = region(lesion(box_mask(50, 30, 10, 20)), window(32, margin))
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[39:71, 24:56])
    assert [defect.kind for defect in found.defects] == ([] if fits else [DefectKind.PATCH_CUT])


def test_a_lesion_larger_than_the_window_shows_its_middle(lesion: Callable[..., Lesion]) -> None:
    found = region(lesion(box_mask(20, 20, 60, 60)), window(32))
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[34:66, 34:66])
    (defect,) = found.defects
    assert "60 x 60 pixels" in defect.detail


@pytest.mark.parametrize(
    ("elements", "settings"),
    [
        ({"PixelSpacing": [0.5, 0.5]}, {}),
        ({"ImagerPixelSpacing": [1.0, 1.0], "EstimatedRadiographicMagnificationFactor": 2}, {}),
        ({}, {"pixel_size": 0.5}),
        # the file knows better
        ({"NominalScannedPixelSpacing": [0.5, 0.5]}, {"pixel_size": 3.0}),
    ],
)
def test_a_window_in_millimetres(
    lesion: Callable[..., Lesion], elements: dict[str, Any], settings: dict[str, Any]
) -> None:
    shown = lesion(box_mask(50, 30, 10, 20), **elements)
    found = region(shown, window(16, 3, scale_unit=ScaleUnit.mm, **settings))
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[39:71, 24:56])
    assert found.defects == ()
    tight = region(shown, window(16, 3.1, scale_unit=ScaleUnit.mm, **settings))
    assert [defect.kind for defect in tight.defects] == [DefectKind.PATCH_CUT]


def test_millimetres_without_a_scale_ask_for_one(lesion: Callable[..., Lesion]) -> None:
    with pytest.raises(UserError, match=r"full\.dcm does not say.*data\.pixel_size=MM.*pixels"):
        region(lesion(box_mask(50, 30, 10, 20)), window(16, scale_unit=ScaleUnit.mm))


def test_a_mask_a_few_pixels_off_is_stretched_and_counted(lesion: Callable[..., Lesion]) -> None:
    # 116 x 87 pixels for 120 x 90: 48..58 becomes 50..60, 29..48 becomes 30..50
    found = region(lesion(box_mask(48, 29, 10, 19, (116, 87))), window(32))
    (defect,) = found.defects
    assert defect.kind is DefectKind.MASK_RESIZED
    assert "87 x 116" in defect.detail
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[39:71, 24:56])


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (box_mask(48, 30, 10, 20, (116, WIDTH)), "90 x 116"),  # rows alone: 48..58 becomes 50..60
        (box_mask(50, 29, 10, 19, (HEIGHT, 87)), "87 x 120"),  # columns: 29..48 becomes 30..50
    ],
)
def test_a_mask_is_stretched_along_the_axis_that_is_off(
    lesion: Callable[..., Lesion], mask: npt.NDArray[np.uint8], says: str
) -> None:
    found = region(lesion(mask), window(32))
    (defect,) = found.defects
    assert defect.kind is DefectKind.MASK_RESIZED
    assert says in defect.detail
    np.testing.assert_array_equal(found.pixels, MAMMOGRAM[39:71, 24:56])


def test_a_jpegs_soft_mask_is_that_of_the_sharp_one(
    tmp_path: Path, dicom: Write, jpeg: Write
) -> None:
    mask = jpeg(tmp_path / "mask.jpg", box_mask(50, 30, 10, 20), quality=60)
    assert len(np.unique(np.asarray(Image.open(mask)))) > 2
    shown = replace(make_lesion(1), full=dicom(tmp_path / "full.dcm", MAMMOGRAM), mask=mask)
    assert region(shown, window(32)).lesion_size == (20, 10)


@pytest.mark.parametrize(
    ("mask", "kind", "says"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), DefectKind.MASK_EMPTY, "no pixel"),
        (box_mask(5, 5, 10, 10, (60, 45)), DefectKind.MASK_UNREADABLE, "45 x 60 pixels where"),
        (box_mask(5, 5, 10, 10, (WIDTH, HEIGHT)), DefectKind.MASK_UNREADABLE, "120 x 90 pixels"),
    ],
)
def test_masks_that_say_nothing_of_their_image(
    lesion: Callable[..., Lesion], mask: npt.NDArray[np.uint8], kind: DefectKind, says: str
) -> None:
    with pytest.raises(Unusable, match=says) as caught:
        region(lesion(mask), window(32))
    assert caught.value.kind is kind
    defect = caught.value.defect("a lesion")
    assert (defect.lesion, defect.kind, defect.action) == ("a lesion", kind, "excluded")


@pytest.mark.parametrize(
    ("what", "where", "kind"),
    [
        ("crop", Region.crop, DefectKind.CROP_UNREADABLE),
        ("full", Region.patch, DefectKind.FULL_UNREADABLE),
        ("mask", Region.patch, DefectKind.MASK_UNREADABLE),
        ("full", Region.full, DefectKind.FULL_UNREADABLE),
    ],
)
@pytest.mark.parametrize("action", [read_source, decoded_pixels])
def test_the_file_that_is_broken_is_the_one_named(
    lesion: Callable[..., Lesion], what: str, where: Region, kind: DefectKind, action: Any
) -> None:
    shown = lesion(box_mask(5, 5, 10, 10))
    broken = (shown.full or Path()).with_name("broken.dcm")
    broken.write_bytes(b"nothing")
    settings = DataConfig(region=where, unit=Unit.image)
    asked = settings if action is read_source else where
    with pytest.raises(Unusable, match=r"broken\.dcm is not an image") as caught:
        action(replace(shown, **{what: broken}), asked)
    assert caught.value.kind is kind
    with pytest.raises(Unusable, match="not on disk"):
        action(replace(shown, **{what: None}), asked)


def test_pixels_are_counted_without_decoding(lesion: Callable[..., Lesion]) -> None:
    shown = lesion(box_mask(5, 5, 10, 10))
    assert decoded_pixels(shown, Region.full) == HEIGHT * WIDTH
    assert decoded_pixels(shown, Region.patch) == HEIGHT * WIDTH
    larger = lesion(box_mask(5, 5, 10, 10, (200, 100)))
    assert decoded_pixels(larger, Region.patch) == 200 * 100


def breast(wall: Side) -> npt.NDArray[np.uint16]:
    y, x = np.mgrid[0:400, 0:300]
    inside = ((y - 200) / 160) ** 2 + (x / 200) ** 2 < 1
    image = np.where(inside, 30_000 + 50 * x + 20 * y, 300).astype(np.uint16)
    return image if wall is Side.LEFT else image[:, ::-1].copy()


def test_whole_breasts_are_alike_whichever_way_they_hang(tmp_path: Path, dicom: Write) -> None:
    settings = DataConfig(region=Region.full, unit=Unit.image)
    cuts = {}
    for side in Side:
        path = dicom(tmp_path / f"{side}.dcm", breast(side))
        cuts[side] = region(replace(make_lesion(1), full=path), settings)
        assert cuts[side].wall is side
    left, right = cuts[Side.LEFT], cuts[Side.RIGHT]
    height, width = left.pixels.shape
    assert abs(height - 320) <= 4
    assert abs(width - 200) <= 4
    assert left.inside is not None
    assert not left.pixels[~left.inside].any()
    assert (left.pixels[left.inside] >= 300).all()
    assert right.pixels.shape == left.pixels.shape
    # mirrored before or after: but for a pixel of the outline the same picture
    same = (left.pixels == right.pixels).mean()
    assert same > 0.98


def test_a_mammogram_without_a_breast_is_excluded(tmp_path: Path, dicom: Write) -> None:
    path = dicom(tmp_path / "x.dcm", np.zeros((300, 200), np.uint16))
    settings = DataConfig(region=Region.full, unit=Unit.image)
    with pytest.raises(Unusable, match="no breast found") as caught:
        region(replace(make_lesion(1), full=path), settings)
    assert caught.value.kind is DefectKind.FULL_UNREADABLE
