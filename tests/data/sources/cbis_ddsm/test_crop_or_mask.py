from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import RLELossless

from mcalc.data.images.image_file import ImageHeader, read_header, read_image
from mcalc.data.sources.cbis_ddsm.crop_or_mask import Tag, has_two_values, tag_of, tell_apart

Write = Callable[..., Path]


class Opened:
    """Reads headers, and keeps whose."""

    def __init__(self) -> None:
        self.files: list[Path] = []

    def __call__(self, path: Path) -> ImageHeader:
        self.files.append(path)
        return read_header(path)


def test_descriptions_as_published() -> None:
    assert tag_of("cropped images") is Tag.CROP
    assert tag_of("ROI mask images") is Tag.MASK
    assert tag_of("full mammogram images") is Tag.FULL
    assert tag_of("Cropped Images ") is Tag.CROP
    assert tag_of(None) is tag_of("MAMMO 1E") is Tag.NOTHING


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("tagged", ["both", "crop", "mask", "neither", "wrongly"])
def test_crop_and_mask_are_distinguished(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any, tagged: str, order: int
) -> None:
    crop_tag, mask_tag = {
        "both": ("cropped images", "ROI mask images"),
        "crop": ("cropped images", None),
        "mask": (None, "ROI mask images"),
        "neither": (None, None),
        "wrongly": ("ROI mask images", "cropped images"),
    }[tagged]
    crop = dicom(tmp_path / "1.dcm", grey(20, 30), description=crop_tag)
    mask = dicom(tmp_path / "2.dcm", two_values(60, 80), description=mask_tag)
    roles = tell_apart([crop, mask][::order], {})
    assert (roles.crop, roles.mask) == (crop, mask)
    assert roles.mistagged is (tagged == "wrongly")
    assert roles.problem is None


def test_a_crop_alone_is_a_crop_whatever_its_tag(tmp_path: Path, dicom: Write, grey: Any) -> None:
    for description in ("cropped images", None, "ROI mask images"):
        crop = dicom(tmp_path / "1.dcm", grey(20, 30), description=description)
        roles = tell_apart([crop], {})
        assert (roles.crop, roles.mask) == (crop, None)
        assert roles.mistagged is (description == "ROI mask images")


def test_a_mask_alone_is_not_a_crop(tmp_path: Path, dicom: Write, two_values: Any) -> None:
    for description in ("ROI mask images", None):
        mask = dicom(tmp_path / "1.dcm", two_values(60, 80), description=description)
        roles = tell_apart([mask], {})
        assert (roles.crop, roles.mask) == (None, mask)
        assert roles.problem == "only a mask is there"
        assert not roles.unreadable


def test_a_full_image_among_them_is_neither(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any
) -> None:
    full = dicom(tmp_path / "0.dcm", grey(60, 80), description="full mammogram images")
    crop = dicom(tmp_path / "1.dcm", grey(20, 30), description="cropped images")
    assert tell_apart([full, crop], {}).crop == crop
    roles = tell_apart([full], {})
    assert (roles.crop, roles.mask, roles.problem) == (None, None, "no crop among the files")


def test_jpegs_are_distinguished_by_their_description_or_their_content(
    tmp_path: Path, jpeg: Write, grey: Any, two_values: Any
) -> None:
    crop = jpeg(tmp_path / "2-1.jpg", (grey(40, 50) >> 8).astype(np.uint8))
    # the mask's ringing must not pass for tissue
    mask = jpeg(tmp_path / "1-1.jpg", two_values(400, 500), quality=60)
    assert len(np.unique(read_image(mask))) > 2
    folder = tmp_path.name
    said = {(folder, "2-1.jpg"): "cropped images", (folder, "1-1.jpg"): "ROI mask images"}
    for descriptions in (said, {}):
        roles = tell_apart([mask, crop], descriptions)
        assert (roles.crop, roles.mask, roles.mistagged) == (crop, mask, False)


def test_tags_that_contradict_the_sizes_are_not_believed(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any
) -> None:
    # tagged as a pair should be, but what is called the crop is the larger one
    large = dicom(tmp_path / "1.dcm", two_values(60, 80), description="cropped images")
    small = dicom(tmp_path / "2.dcm", grey(20, 30), description="ROI mask images")
    roles = tell_apart([large, small], {})
    assert (roles.crop, roles.mask, roles.mistagged) == (small, large, True)


def test_two_files_of_one_kind_are_distinguished_by_size(
    tmp_path: Path, dicom: Write, grey: Any
) -> None:
    small = dicom(tmp_path / "1.dcm", grey(20, 30))
    large = dicom(tmp_path / "2.dcm", grey(60, 80))
    roles = tell_apart([large, small], {})
    assert (roles.crop, roles.mask) == (small, large)
    same = dicom(tmp_path / "3.dcm", grey(20, 30, seed=1))
    roles = tell_apart([small, same], {})
    assert roles.crop is None
    assert roles.problem == "cannot tell which file is the crop: 1.dcm, 3.dcm"


def test_a_copy_of_the_crop_does_no_harm(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any
) -> None:
    crop = dicom(tmp_path / "1.dcm", grey(20, 30), description="cropped images")
    mask = dicom(tmp_path / "2.dcm", two_values(60, 80), description="ROI mask images")
    copy = tmp_path / "1 (1).dcm"
    copy.write_bytes(crop.read_bytes())
    roles = tell_apart([crop, copy, mask], {})
    assert (roles.crop, roles.mask) == (crop, mask)


def test_a_damaged_file_is_a_problem_only_where_it_may_be_the_crop(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any
) -> None:
    damaged = tmp_path / "9.dcm"
    damaged.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    mask = dicom(tmp_path / "2.dcm", two_values(60, 80), description="ROI mask images")
    roles = tell_apart([damaged, mask], {})
    assert (roles.crop, roles.mask, roles.unreadable) == (None, mask, True)
    assert roles.problem is not None
    assert str(damaged) in roles.problem
    crop = dicom(tmp_path / "1.dcm", grey(20, 30), description="cropped images")
    assert tell_apart([damaged, crop], {}).crop == crop


def test_a_mask_that_is_certain_by_its_bytes_is_not_opened(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any
) -> None:
    opened = Opened()
    crop = dicom(tmp_path / "2.dcm", grey(20, 30), description="cropped images")
    mask = dicom(tmp_path / "1.dcm", two_values(200, 300), description="ROI mask images")
    full = dicom(tmp_path / "full.dcm", grey(200, 300))
    roles = tell_apart([mask, crop], {}, full, opened)
    assert (roles.crop, roles.mask, opened.files) == (crop, mask, [crop])
    # a tag that is wrong is worth a look at both
    wrong = dicom(tmp_path / "3.dcm", grey(20, 30), description="ROI mask images")
    roles = tell_apart([mask, wrong], {}, full)
    assert (roles.crop, roles.mask, roles.mistagged) == (wrong, mask, True)


def test_bytes_decide_nothing_where_they_might_be_wrong(
    tmp_path: Path, dicom: Write, grey: Any, two_values: Any
) -> None:
    opened = Opened()
    crop = dicom(tmp_path / "2.dcm", grey(60, 70), description="cropped images")
    full = dicom(tmp_path / "full.dcm", grey(100, 150))
    # compressed, the mask is the smaller file; and a tag in error calls it the crop
    mask = dicom(tmp_path / "1.dcm", two_values(100, 150), "cropped images", syntax=RLELossless)
    assert mask.stat().st_size < crop.stat().st_size
    roles = tell_apart([mask, crop], {}, full, opened)
    assert (roles.crop, roles.mask, roles.mistagged) == (crop, mask, True)
    assert set(opened.files) == {crop, mask}
    # a mammogram beside the crop is no mask, however large
    own = dicom(tmp_path / "4.dcm", grey(100, 150), description="full mammogram images")
    small = dicom(tmp_path / "5.dcm", grey(20, 30), description="cropped images")
    roles = tell_apart([own, small], {}, full)
    assert (roles.crop, roles.mask) == (small, None)
    # nor is one taken for it where no mammogram is there to compare with
    assert tell_apart([own, small], {}, None).mask is None


def test_two_values() -> None:
    mask = np.zeros((10, 10), np.uint16)
    assert has_two_values(mask)
    mask[2:4] = 65535
    assert has_two_values(mask)
    mask[0, 0] = 1
    assert not has_two_values(mask)
    assert has_two_values(mask, lossy=True)
    assert not has_two_values(np.arange(100, dtype=np.uint8).reshape(10, 10), lossy=True)


@pytest.mark.shared
def test_no_real_crop_passes_for_a_mask(shared_data: Path) -> None:
    crops = sorted((shared_data / "cbis-ddsm" / "kaggle" / "jpeg").glob("*/*.jpg"))[::8]
    assert len(crops) > 190
    assert [path for path in crops if has_two_values(read_image(path), lossy=True)] == []
