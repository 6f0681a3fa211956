from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from mcalc.config import CsvSplit, Region
from mcalc.data.completeness import check_completeness, completeness
from mcalc.data.images.image_file import ImageHeader, image_size, read_header, read_image
from mcalc.data.records import (
    Defect,
    DefectKind,
    Index,
    Lesion,
    Pathology,
    Split,
)
from mcalc.data.sources.cbis_ddsm.index import read_index
from mcalc.data.sources.label_conflicts import BENIGN_ONLY
from mcalc.errors import UserError

TRAIN = "calc_case_description_train_set.csv"
TEST = "calc_case_description_test_set.csv"
NONE: frozenset[str] = frozenset()
LAYOUTS = ("legacy", "older", "nbia", "kaggle")

Make = Callable[..., Any]


def layout_of(index: Index) -> str:
    return index.description.split("(")[1].removesuffix(" layout)")


class Builder:
    """Writes the files of case CSV rows in one of the layouts."""

    def __init__(
        self, root: Path, layout: str, dicom: Make, jpeg: Make, grey: Make, two_values: Make
    ) -> None:
        self.root, self.layout = root, layout
        self._dicom, self._jpeg, self._grey, self._two_values = dicom, jpeg, grey, two_values
        self._info: list[dict[str, str]] = []

    def crop(self, row: dict[str, str], swapped: bool = False, seed: int = 0) -> Path:
        """The row's crop, 20 x 30; where `swapped`, in the mask's place, named as the mask."""
        column = "ROI mask file path" if swapped else "cropped image file path"
        return self._put(row[column], self._grey(20, 30, seed=seed), "cropped images")

    def mask(self, row: dict[str, str], swapped: bool = False) -> Path:
        column = "cropped image file path" if swapped else "ROI mask file path"
        return self._put(row[column], self._two_values(59, 80), "ROI mask images")

    def full(self, row: dict[str, str]) -> Path:
        return self._put(row["image file path"], self._grey(60, 80), "full mammogram images")

    def _put(self, csv_path: str, pixels: Any, description: str) -> Path:
        case, study, series, name = csv_path.split("/")
        tail, number = series[-5:], int(name[5]) + 1
        # as in the wild, the folder's description is that of the mask whatever it holds
        if self.layout == "kaggle":
            path = self.root / "jpeg" / series / f"{number}-017.jpg"
            eight_bits = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
            self._info.append(
                {"image_path": f"CBIS-DDSM/jpeg/{series}/{path.name}",
                 "SeriesDescription": description}
            )  # fmt: skip
            self._write_info()
            return Path(self._jpeg(path, eight_bits))
        place = {
            "legacy": f"{case}/{study}/{series}/{name}",
            "older": f"{case}/10-04-2016-DDSM-{study[-5:]}/1-ROI mask images-{tail}/{name}",
            "nbia": f"manifest-1600709154662/CBIS-DDSM/{case}/10-04-2016-DDSM-NA-{study[-5:]}/"
            f"1.000000-ROI mask images-{tail}/1-{number}.dcm",
        }[self.layout]
        return Path(self._dicom(self.root / place, pixels, description=description))

    def _write_info(self) -> None:
        (self.root / "csv").mkdir(exist_ok=True)
        with (self.root / "csv" / "dicom_info.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["image_path", "SeriesDescription"])
            writer.writeheader()
            writer.writerows(self._info)


@pytest.fixture
def build(dicom: Make, jpeg: Make, grey: Make, two_values: Make) -> Callable[[Path, str], Builder]:
    return lambda root, layout: Builder(root, layout, dicom, jpeg, grey, two_values)


def _kinds(index: Index) -> list[DefectKind]:
    return [defect.kind for defect in index.ledger]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_every_file_of_every_lesion(
    tmp_path: Path, case_csv: Make, build: Make, layout: str
) -> None:
    builder, cases = build(tmp_path, layout), case_csv()
    expected = []
    for number in (1, 2):
        row = cases.add(number=number)
        expected.append((builder.crop(row), builder.mask(row)))
    # both lie on one image, whose path is that of the first row
    cases.rows[1]["image file path"] = cases.rows[0]["image file path"]
    full = builder.full(cases.rows[0])
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    name = {"older": "legacy"}.get(layout, layout)
    assert index.description == f"CBIS-DDSM calcifications ({name} layout)"
    assert [(lesion.crop, lesion.mask) for lesion in index.lesions] == expected
    assert [lesion.full for lesion in index.lesions] == [full, full]
    assert [lesion.id for lesion in index.lesions] == [
        "Calc-Training_P_00005_RIGHT_CC_1",
        "Calc-Training_P_00005_RIGHT_CC_2",
    ]
    assert index.ledger == ()
    assert completeness(index) == 1


@pytest.mark.parametrize(
    "below", ["", "manifest-1600709154662", "manifest-1600709154662/CBIS-DDSM"]
)
def test_an_nbia_root_may_be_any_of_its_upper_folders(
    tmp_path: Path, case_csv: Make, build: Make, below: str
) -> None:
    cases = case_csv()
    crop = build(tmp_path, "nbia").crop(cases.add())
    (tmp_path / "manifest-1600709154662" / "metadata.csv").write_text("Series UID,File Location\n")
    cases.write(tmp_path / "elsewhere" / TRAIN)
    index = read_index(tmp_path / below, tmp_path / "elsewhere")
    assert (index.lesions[0].crop, layout_of(index)) == (crop, "nbia")


def test_a_root_that_is_a_symbolic_link_is_fine(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    cases = case_csv()
    (tmp_path / "disk").mkdir()
    build(tmp_path / "disk", "legacy").crop(cases.add())
    cases.write(tmp_path / "disk" / TRAIN)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    (lesion,) = read_index(tmp_path / "link").lesions
    assert lesion.crop is not None
    assert lesion.crop.is_relative_to(tmp_path / "link")


def test_paths_written_on_windows_are_understood(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    cases = case_csv()
    row = cases.add()
    crop = build(tmp_path, "kaggle").crop(row)
    row["cropped image file path"] = row["cropped image file path"].replace("/", "\\")
    cases.write(tmp_path / TRAIN)
    assert read_index(tmp_path).lesions[0].crop == crop


@pytest.mark.parametrize("layout", ["legacy", "older"])
def test_a_swapped_pair_is_corrected_and_reported(
    tmp_path: Path, case_csv: Make, build: Make, layout: str
) -> None:
    builder, cases = build(tmp_path, layout), case_csv()
    right, wrong = cases.add(number=1), cases.add(number=2)
    builder.crop(right), builder.mask(right)
    crop, mask = builder.crop(wrong, swapped=True), builder.mask(wrong, swapped=True)
    assert crop.name == "000000.dcm"
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert (index.lesions[1].crop, index.lesions[1].mask) == (crop, mask)
    (defect,) = [each for each in index.ledger if each.kind is DefectKind.SWAPPED]
    assert defect.lesion == index.lesions[1].id
    assert crop.relative_to(tmp_path).as_posix() in defect.detail
    assert defect.action == "corrected"


def test_a_crop_in_the_series_of_the_mask_is_found_and_reported(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    # as P_00474 LEFT MLO 1, whose crop and mask have a series each
    builder, cases = build(tmp_path, "nbia"), case_csv()
    row = cases.add()
    row["ROI mask file path"] = row["ROI mask file path"].replace("888", "999")
    row["ROI mask file path"] = row["ROI mask file path"].replace("000012/0", "000034/0")
    assert row["ROI mask file path"].split("/")[2] != row["cropped image file path"].split("/")[2]
    crop, mask = builder.crop(row, swapped=True), builder.mask(row, swapped=True)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert (index.lesions[0].crop, index.lesions[0].mask) == (crop, mask)
    assert DefectKind.SWAPPED in _kinds(index)


def test_kaggle_without_descriptions_is_decided_by_content(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder, cases = build(tmp_path, "kaggle"), case_csv()
    row = cases.add()
    crop, mask = builder.crop(row), builder.mask(row)
    (tmp_path / "csv" / "dicom_info.csv").unlink()
    cases.write(tmp_path / "csv" / TRAIN)
    index = read_index(tmp_path)
    assert (index.lesions[0].crop, index.lesions[0].mask) == (crop, mask)


def test_two_layouts_in_one_root_are_both_used(tmp_path: Path, case_csv: Make, build: Make) -> None:
    cases = case_csv()
    one, two = cases.add(number=1), cases.add(number=2)
    crops = [build(tmp_path, "nbia").crop(one), build(tmp_path, "kaggle").crop(two)]
    build(tmp_path, "kaggle").crop(one)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert layout_of(index) == "kaggle+nbia"
    # the 16-bit original comes before its JPEG copy
    assert [lesion.crop for lesion in index.lesions] == crops


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_crop_keeps_its_lesion_and_counts(
    tmp_path: Path, case_csv: Make, build: Make, layout: str
) -> None:
    builder, cases = build(tmp_path, layout), case_csv()
    builder.crop(cases.add(number=1))
    cases.add(number=2)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert index.lesions[1].crop is None
    (defect,) = [each for each in index.ledger if each.kind is DefectKind.CROP_MISSING]
    assert defect.lesion == "Calc-Training_P_00005_RIGHT_CC_2"
    assert str(tmp_path) not in defect.detail
    assert completeness(index) == 0.5


def test_where_only_the_mask_was_downloaded_the_crop_is_missing(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    mask = builder.mask(cases.add())
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert (index.lesions[0].crop, index.lesions[0].mask) == (None, mask)
    assert _kinds(index) == [DefectKind.CROP_MISSING]
    assert index.ledger[0].detail == "only a mask is there"


def test_a_damaged_crop_is_unreadable_and_no_message_names_the_person(
    tmp_path: Path, case_csv: Make, build: Make, person: tuple[str, ...]
) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    builder.crop(cases.add(number=1))
    crop = builder.crop(cases.add(number=2))
    dataset = pydicom.dcmread(crop)
    dataset.Rows = None
    dataset.save_as(crop)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert index.lesions[1].crop is None
    (defect,) = [each for each in index.ledger if each.kind is DefectKind.CROP_UNREADABLE]
    assert crop.relative_to(tmp_path).as_posix() in defect.detail
    assert str(tmp_path) not in defect.detail
    assert not [text for text in person if text in repr(index.ledger)]


def test_single_missing_masks_and_full_images_have_a_row_each(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    whole, lacking, gone = (cases.add(number=number) for number in (1, 2, 3))
    for row in (whole, lacking):
        builder.crop(row)
    builder.mask(whole)
    del gone
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    masks = [each for each in index.ledger if each.kind is DefectKind.MASK_MISSING]
    assert [each.lesion for each in masks] == ["Calc-Training_P_00005_RIGHT_CC_2"]
    # not one full image: one row for all, with the count of the lesions that have a crop
    (full,) = [each for each in index.ledger if each.kind is DefectKind.FULL_MISSING]
    assert (full.lesion, full.detail) == ("*", "none of 2 lesions has one")


@pytest.mark.parametrize(
    "path", ["../secret/1.2/1.3/000001.dcm", "/etc/1.2/1.3/000001.dcm", r"C:\a\1.2\1.3\000001.dcm"]
)
def test_a_path_that_leaves_the_root_is_not_followed(
    tmp_path: Path, case_csv: Make, build: Make, dicom: Make, grey: Make, path: str
) -> None:
    root = tmp_path / "root"
    cases = case_csv()
    good = cases.add(number=1)
    cases.add(number=2, cropped_image_file_path=path)
    crop = build(root, "legacy").crop(good)
    dicom(tmp_path / "secret/1.2/1.3/000001.dcm", grey(4, 4))
    cases.write(root / TRAIN)
    index = read_index(root)
    assert [lesion.crop for lesion in index.lesions] == [crop, None]
    (defect,) = [each for each in index.ledger if each.kind is DefectKind.UNSAFE_PATH]
    assert defect.lesion == "Calc-Training_P_00005_RIGHT_CC_2"
    assert "cropped image file path" in defect.detail


def test_an_unsafe_mask_costs_the_mask_only(tmp_path: Path, case_csv: Make, build: Make) -> None:
    cases = case_csv()
    row = cases.add(roi_mask_file_path="../../x/y/z.dcm")
    crop = build(tmp_path, "legacy").crop(row)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert (index.lesions[0].crop, index.lesions[0].mask) == (crop, None)
    assert DefectKind.UNSAFE_PATH in _kinds(index)


def test_images_with_lesions_of_different_labels_have_one_row_each(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    cases, builder = case_csv(), build(tmp_path, "legacy")
    for view, labels in (
        ("CC", ("MALIGNANT", "BENIGN", "BENIGN")),
        ("MLO", ("BENIGN", "BENIGN_WITHOUT_CALLBACK")),
    ):
        for number, pathology in enumerate(labels, start=1):
            builder.crop(cases.add(view=view, number=number, pathology=pathology))
    builder.crop(cases.add("P_00009"))
    cases.write(tmp_path / TRAIN)
    conflicts = [
        each for each in read_index(tmp_path).ledger if each.kind is DefectKind.LABEL_CONFLICT
    ]
    assert [(each.lesion, each.detail, each.action) for each in conflicts] == [
        (
            "Calc-Training_P_00005_RIGHT_CC",
            "1 MALIGNANT, 2 BENIGN, 3 BENIGN",
            "each lesion keeps its own label",
        ),
        (
            "Calc-Training_P_00005_RIGHT_MLO",
            "1 BENIGN, 2 BENIGN_WITHOUT_CALLBACK",
            "all count as benign, unless benign without callback is a class of its own",
        ),
    ]


def test_both_csvs_are_read_in_order_or_one_of_them(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder = build(tmp_path, "legacy")
    for prefix, name in (("Calc-Training", TRAIN), ("Calc-Test", TEST)):
        cases = case_csv(prefix)
        builder.crop(cases.add())
        cases.write(tmp_path / name)
    # a damaged CSV of the masses does no harm, and it is reported that it could not be used
    (tmp_path / "mass_case_description_train_set.csv").write_text("damaged")
    index = read_index(tmp_path)
    assert [lesion.split for lesion in index.lesions] == [Split.TRAIN, Split.TEST]
    assert "mass_case_description_train_set.csv" in " ".join(index.unchecked)
    (lesion,) = read_index(tmp_path, csv_split=CsvSplit.test).lesions
    assert lesion.id == "Calc-Test_P_00005_RIGHT_CC_1"


def test_the_download_is_left_as_it_was(tmp_path: Path, case_csv: Make, build: Make) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    row = cases.add()
    builder.crop(row, swapped=True), builder.mask(row, swapped=True)
    cases.write(tmp_path / TRAIN)

    def state() -> dict[str, str]:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }

    before = state()
    read_index(tmp_path)
    assert state() == before


def test_progress_counts_rows(tmp_path: Path, case_csv: Make, build: Make) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    for number in (1, 2, 3):
        builder.crop(cases.add(number=number))
    cases.write(tmp_path / TRAIN)
    seen: list[tuple[int, int]] = []
    read_index(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_root_that_is_not_a_download_is_one_sentence(tmp_path: Path, case_csv: Make) -> None:
    with pytest.raises(UserError, match=r"data\.root=.*gone does not exist"):
        read_index(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data\.root=.*file is not a folder"):
        read_index(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    with pytest.raises(UserError, match=r"data\.root=.*empty is empty"):
        read_index(tmp_path / "empty")
    (tmp_path / "other" / "pictures").mkdir(parents=True)
    with pytest.raises(UserError, match=f"no case CSV found: looked for {TRAIN} or {TEST} in"):
        read_index(tmp_path / "other")


def test_a_folder_in_a_case_csvs_place_is_not_passed_over(tmp_path: Path, case_csv: Make) -> None:
    cases = case_csv("Calc-Test")
    cases.add()
    cases.write(tmp_path / TEST)
    (tmp_path / TRAIN).mkdir()
    with pytest.raises(UserError, match=f"{TRAIN} is a folder, not a file"):
        read_index(tmp_path)


def test_case_csvs_and_case_folders_are_found_whatever_their_case(
    tmp_path: Path, case_csv: Make, dicom: Make, grey: Make
) -> None:
    cases = case_csv()
    row = cases.add()
    crop = dicom(tmp_path / row["cropped image file path"].lower(), grey(8, 9))
    cases.write(tmp_path / "CSV" / TRAIN.upper())
    index = read_index(tmp_path)
    assert [lesion.crop for lesion in index.lesions] == [crop]
    case = index.lesions[0].id
    assert [each.detail for each in index.ledger if each.kind is DefectKind.NAME_DIFFERS] == [
        f"the folder on disk is '{case.lower()}'"
    ]


def test_no_file_for_any_lesion_says_what_was_expected(tmp_path: Path, case_csv: Make) -> None:
    cases = case_csv()
    cases.add(), cases.add(number=2)
    cases.write(tmp_path / TRAIN)
    with pytest.raises(UserError) as caught:
        read_index(tmp_path)
    message = str(caught.value)
    assert "no layout of CBIS-DDSM recognised: not one of the 2 lesions" in message
    assert "Calc-Training_P_00005_RIGHT_CC_1/*/*/*.dcm" in message
    assert f"jpeg/{cases.rows[0]['cropped image file path'].split('/')[2]}/*.jpg" in message
    assert "/*.dcm (series)" in message
    assert "data.root=PATH" in message


def test_completeness_counts_missing_unreadable_and_excluded_lesions(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    for number in range(1, 9):
        builder.crop(cases.add(number=number))
    cases.add(number=9)
    cases.add(number=10, pathology="?")
    cases.add(number=1)
    cases.rows[-1] = dict(cases.rows[0])
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    # ten listed (a row that stands twice is one lesion), one without crop, one not understood
    assert completeness(index) == 0.8
    check_completeness(index, 0.8)
    damaged = Defect(index.lesions[0].id, DefectKind.CROP_UNREADABLE, "x", "excluded")
    swapped = Defect(index.lesions[1].id, DefectKind.SWAPPED, "x", "corrected")
    assert completeness(index, [damaged, swapped]) == 0.7
    with pytest.raises(UserError) as caught:
        check_completeness(index, 0.8, [damaged])
    message = str(caught.value)
    assert "3 of 10 lesions listed have no readable crop" in message
    assert index.lesions[0].id in message
    assert "allow it with data.min_completeness=0.7" in message
    check_completeness(index, 0.70, [damaged])


@pytest.mark.parametrize("lost", range(1, 100))
def test_the_minimum_that_the_message_names_does_allow_it(tmp_path: Path, lost: int) -> None:
    lesion = Lesion(id="", patient="P_1", pathology=Pathology.BENIGN)
    there = tmp_path / "x.dcm"
    lesions = tuple(
        replace(lesion, id=f"lesion_{number}", crop=None if number < lost else there)
        for number in range(100)
    )
    index = Index(tmp_path, "legacy", lesions, ())
    with pytest.raises(UserError) as caught:
        check_completeness(index, 1.0)
    check_completeness(index, float(str(caught.value).rsplit("=", 1)[1]))
    check_completeness(index, (100 - lost) / 100)


def test_each_region_counts_the_files_that_it_needs(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    rows = [cases.add(patient=f"P_0000{number}") for number in range(1, 5)]
    for row in rows[:3]:
        builder.crop(row)
    for row in rows[:2]:
        builder.full(row)
    builder.mask(rows[0])
    cases.write(tmp_path / TRAIN)
    shares = {Region.crop: 0.75, Region.full: 0.5, Region.patch: 0.25}
    for region, share in shares.items():
        index = read_index(tmp_path, region=region)
        assert completeness(index, (), region) == share
        check_completeness(index, share, (), region)
    with pytest.raises(UserError, match=r"3 of 4 lesions listed have no readable full image with"):
        check_completeness(index, 0.5, (), Region.patch)


def test_what_is_missing_is_reported_as_needed_or_not(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    whole, bare, gone = (cases.add(patient=f"P_0000{number}") for number in (1, 2, 3))
    builder.crop(whole), builder.mask(whole), builder.full(whole), builder.crop(bare)
    cases.write(tmp_path / TRAIN)

    def reported(region: Region) -> list[tuple[str, str]]:
        ledger = read_index(tmp_path, region=region).ledger
        return [
            (each.lesion.split("_")[2], each.action)
            for each in ledger
            if each.kind is DefectKind.FULL_MISSING
        ]

    assert gone["patient_id"] == "P_00003"
    assert reported(Region.crop) == [("00002", "not needed")]
    needed = "needed for data.region=full: lesion excluded"
    assert reported(Region.full) == [("00002", needed), ("00003", needed)]


def test_full_mammograms_alone_are_a_download_too(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    cases = case_csv()
    full = build(tmp_path, "nbia").full(cases.add())
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path, region=Region.full)
    assert (index.lesions[0].crop, index.lesions[0].full) == (None, full)
    assert layout_of(index) == "nbia"
    assert completeness(index, (), Region.full) == 1


def test_defects_met_later_count_where_the_region_needs_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.dcm"
    lesion = Lesion(
        id="i_1", patient="P_1", pathology=Pathology.BENIGN, crop=file, mask=file, full=file
    )
    index = Index(tmp_path, "legacy", (lesion, replace(lesion, id="i_2")), ())
    # a damaged mammogram takes both lesions on it, be it reported by the image or by a lesion
    for name, left in (("i", 0.0), ("i_2", 0.5)):
        damaged = Defect(name, DefectKind.FULL_UNREADABLE, "x", "excluded")
        assert completeness(index, [damaged], Region.full) == left
        assert completeness(index, [damaged], Region.patch) == left
        assert completeness(index, [damaged], Region.crop) == 1
    empty = Defect("i_1", DefectKind.MASK_EMPTY, "x", "excluded")
    assert completeness(index, [empty], Region.patch) == 0.5
    assert completeness(index, [empty], Region.full) == 1


def test_what_the_dicom_tree_lacks_comes_from_jpeg_copies_beside_it(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    nbia, kaggle, cases = build(tmp_path, "nbia"), build(tmp_path, "kaggle"), case_csv()
    one, two, three = (cases.add(number=number) for number in (1, 2, 3))
    crop, mask = nbia.crop(one), kaggle.mask(one)
    own_mask, copy = nbia.mask(two), kaggle.crop(two)
    damaged = nbia.crop(three)
    damaged.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    spare = kaggle.crop(three)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert layout_of(index) == "kaggle+nbia"
    assert [(each.crop, each.mask) for each in index.lesions] == [
        (crop, mask), (copy, own_mask), (spare, None)
    ]  # fmt: skip
    (defect,) = [each for each in index.ledger if each.kind is DefectKind.CROP_UNREADABLE]
    assert (defect.lesion, defect.action) == (index.lesions[2].id, "its JPEG copy taken")
    assert completeness(index) == 1


def test_a_link_to_nothing_is_a_missing_file(tmp_path: Path, case_csv: Make, build: Make) -> None:
    builder, cases = build(tmp_path, "nbia"), case_csv()
    builder.crop(cases.add(number=1))
    crop = builder.crop(cases.add(number=2))
    crop.unlink()
    crop.symlink_to(tmp_path / "gone.dcm")
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert [each.crop is None for each in index.lesions] == [False, True]
    assert DefectKind.CROP_MISSING in _kinds(index)


def test_a_damaged_mask_is_not_called_missing(tmp_path: Path, case_csv: Make, build: Make) -> None:
    builder, cases = build(tmp_path, "legacy"), case_csv()
    for number in (1, 2):
        row = cases.add(number=number)
        builder.crop(row)
        mask = builder.mask(row)
    mask.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    cases.write(tmp_path / TRAIN)
    index = read_index(tmp_path)
    assert [each.mask is None for each in index.lesions] == [False, True]
    assert DefectKind.MASK_MISSING not in _kinds(index)
    (defect,) = [each for each in index.ledger if each.kind is DefectKind.MASK_UNREADABLE]
    assert defect.lesion == index.lesions[1].id
    assert str(tmp_path) not in defect.detail


def test_patients_whose_masses_stand_in_another_split_have_a_row_each(
    tmp_path: Path, case_csv: Make, build: Make
) -> None:
    builder = build(tmp_path, "legacy")
    patients = {"Calc-Training": ("P_1", "P_2", "P_3"), "Calc-Test": ("P_4", "P_5")}
    for prefix, name in (("Calc-Training", TRAIN), ("Calc-Test", TEST)):
        cases = case_csv(prefix)
        for patient in patients[prefix]:
            builder.crop(cases.add(patient))
        cases.write(tmp_path / "csv" / name)
    for name, members in (("train", ("P_1", "P_5")), ("test", ("P_2", "P_5", "P_9"))):
        text = "patient_id,breast_density\n" + "".join(f"{each},2\n" for each in members)
        (tmp_path / "csv" / f"mass_case_description_{name}_set.csv").write_text(text)
    index = read_index(tmp_path)
    crossing = [each for each in index.ledger if each.kind is DefectKind.PATIENT_CROSSES]
    assert [(each.lesion, each.detail) for each in crossing] == [
        ("P_2", "calcifications: train; masses: test"),
        ("P_5", "calcifications: test; masses: train and test"),
    ]
    assert index.unchecked == ()


@pytest.mark.shared
def test_thirty_one_patients_cross_the_official_splits(shared_data: Path) -> None:
    folder = shared_data / "cbis-ddsm"
    index = read_index(folder / "nbia", folder / "csv")
    crossing = Counter(
        each.detail for each in index.ledger if each.kind is DefectKind.PATIENT_CROSSES
    )
    assert crossing == {
        "calcifications: train; masses: test": 18,
        "calcifications: test; masses: train": 13,
    }
    # independently: every row of the four files begins with its patient, and no other line does
    columns = {
        (kind, split): set(
            re.findall(
                r"^(P_\d{5}),",
                (folder / "csv" / f"{kind}_case_description_{split}_set.csv").read_text(),
                re.MULTILINE,
            )
        )
        for kind in ("calc", "mass")
        for split in ("train", "test")
    }
    assert len(columns["calc", "train"] & columns["mass", "test"]) == 18
    assert len(columns["calc", "test"] & columns["mass", "train"]) == 13


@pytest.mark.whole
@pytest.mark.shared
@pytest.mark.slow
def test_a_whole_tree_of_links_is_indexed_with_one_header_a_lesion(
    shared_data: Path, tmp_path: Path, dicom: Make
) -> None:
    folder = shared_data / "cbis-ddsm"
    crops = sorted((folder / "nbia").rglob("*.dcm"))
    blank = np.zeros((5000, 3000), np.uint8)
    mask = dicom(tmp_path / "mask.dcm", blank, description="ROI mask images")
    full = dicom(tmp_path / "full.dcm", blank.astype(np.uint16))
    base = tmp_path / "tree" / "manifest-1" / "CBIS-DDSM"
    links = 0
    for name in sorted(path.name for path in (folder / "csv").iterdir()):
        with (folder / "csv" / name).open(newline="") as file:
            for row in csv.DictReader(file):
                for column, target, leaf in (
                    ("cropped image file path", crops[links % len(crops)], "1-1.dcm"),
                    ("ROI mask file path", mask, "1-2.dcm"),
                    ("image file path", full, "1-1.dcm"),
                ):
                    case, study, series, _ = row[column].strip().split("/")
                    place = base / case / f"01-01-2017-DDSM-NA-{study[-5:]}"
                    link = place / f"1.000000-ROI mask images-{series[-5:]}" / leaf
                    if not link.is_symlink():
                        link.parent.mkdir(parents=True, exist_ok=True)
                        link.symlink_to(target)
                        links += 1
    assert links == 10_239  # as TCIA counts images
    opened: list[Path] = []

    def counted(path: Path) -> ImageHeader:
        opened.append(path)
        return read_header(path)

    index = read_index(tmp_path / "tree", folder / "csv", header_of=counted)
    assert len(opened) == 1872
    assert completeness(index) == completeness(index, (), Region.patch) == 1
    assert {each.mask.resolve() for each in index.lesions if each.mask} == {mask}
    assert set(_kinds(index)) == {DefectKind.LABEL_CONFLICT, DefectKind.PATIENT_CROSSES}


@pytest.mark.shared
def test_the_kaggle_download_as_published(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was decoded, where its description says what it is")

    monkeypatch.setattr("mcalc.data.sources.cbis_ddsm.crop_or_mask.read_image", refuse)
    index = read_index(shared_data / "cbis-ddsm" / "kaggle")
    assert layout_of(index) == "kaggle"
    assert len(index.lesions) == 1546
    assert len({lesion.image for lesion in index.lesions}) == 1227
    assert len({lesion.patient for lesion in index.lesions}) == 602
    counts = Counter(lesion.pathology for lesion in index.lesions)
    assert [counts[pathology] for pathology in Pathology] == [528, 474, 544]
    assert len({lesion.crop for lesion in index.lesions}) == 1546
    assert completeness(index) == 1
    # counted in the CSV: nine images of the training split mix pathologies
    assert Counter(_kinds(index)) == {
        DefectKind.MASK_MISSING: 1, DefectKind.FULL_MISSING: 1, DefectKind.LABEL_CONFLICT: 9
    }  # fmt: skip


@pytest.mark.shared
def test_kaggle_crops_have_the_size_that_the_download_lists(shared_data: Path) -> None:
    root = shared_data / "cbis-ddsm" / "kaggle"
    with (root / "csv" / "dicom_info.csv").open(newline="") as file:
        listed = {row["PatientID"]: (row["Columns"], row["Rows"]) for row in csv.DictReader(file)}
    for lesion in read_index(root).lesions[::20]:
        assert lesion.crop is not None
        width, height = image_size(lesion.crop)
        assert (str(width), str(height)) == listed[lesion.id]


@pytest.mark.shared
@pytest.mark.parametrize("root", ["nbia", "nbia/CBIS-DDSM"])
def test_the_nbia_download_gives_each_crop_that_is_on_disk(shared_data: Path, root: str) -> None:
    folder = shared_data / "cbis-ddsm"
    index = read_index(folder / root, folder / "csv")
    assert (len(index.lesions), layout_of(index)) == (1872, "nbia")
    found = {lesion.id: lesion.crop for lesion in index.lesions if lesion.crop}
    on_disk = {path.parents[2].name: path for path in (folder / "nbia").rglob("Calc-*/*/*/*.dcm")}
    assert found == on_disk
    conflicts = [each for each in index.ledger if each.kind is DefectKind.LABEL_CONFLICT]
    assert len(conflicts) == 11
    # nine mix benign and malignant; two mix only the kinds of benign
    assert sorted(each.lesion for each in conflicts if each.action == BENIGN_ONLY) == [
        "Calc-Training_P_00858_RIGHT_CC",
        "Calc-Training_P_00858_RIGHT_MLO",
    ]
    assert len([each for each in index.ledger if each.kind is DefectKind.PATIENT_CROSSES]) == 31
    # the same crops lie in the Kaggle download, as 8-bit copies
    kaggle = {each.id: each.crop for each in read_index(folder / "kaggle").lesions}
    name = "Calc-Training_P_00005_RIGHT_MLO_1"
    copy = kaggle[name]
    assert copy is not None
    original, eight_bits = read_image(found[name]) / 257, read_image(copy)
    assert original.shape == eight_bits.shape
    assert np.abs(original - eight_bits).mean() < 3


@pytest.mark.shared
def test_a_download_of_masses_alone_holds_no_calcification(shared_data: Path) -> None:
    folder = shared_data / "cbis-ddsm"
    with pytest.raises(UserError, match="no layout of CBIS-DDSM recognised"):
        read_index(folder / "legacy", folder / "csv")
    assert os.access(folder / "csv" / "mass_case_description_train_set.csv", os.R_OK)
