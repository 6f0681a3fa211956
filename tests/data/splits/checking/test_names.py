"""What names of CBIS-DDSM images say, as they are met in the wild."""

from __future__ import annotations

import pytest

from mcalc.data.records import Side, View
from mcalc.data.splits.checking.names import (
    ImageName,
    parse_image,
    parse_patient,
    without_copy,
)

CROP = ImageName("P_00005", Side.RIGHT, View.CC, "calc", 1)
UID = "1.3.6.1.4.1.9590.100.1.2.393344010211719049419601138200355094682"


@pytest.mark.parametrize(
    "text",
    [
        "Calc-Training_P_00005_RIGHT_CC_1",
        f"Calc-Training_P_00005_RIGHT_CC_1/{UID}/{UID}/000001.dcm",
        f"Calc-Test_P_00005_RIGHT_CC_1/{UID}/1-1.dcm",
        "C:\\data\\crops\\Calc-Training_P_00005_RIGHT_CC_1.png",
        "/mnt/cbis/calc-training_p_00005_right_cc_1.PNG",
        "Calc-Training_P_00005_RIGHT_CC_1_mask.png",
        "Calc-Training_P_00005_RIGHT_CC_1_patch17.png",
        "Calc-Training_P_00005_RIGHT_CC_1_copy2",
        "Calc-Training_P_00005_RIGHT_CC/Calc-Training_P_00005_RIGHT_CC_1.png",
        "calc_train_P_00005_RIGHT_CC_1.jpg",
        "Calc-Training_P_5_RIGHT_CC_1".replace("P_5", "P_005"),
    ],
)
def test_one_crop_in_many_spellings(text: str) -> None:
    assert parse_image(text) == CROP


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("P_00005_RIGHT_CC_1.png", None, 1),
        ("P_00005_RIGHT_CC.png", None, None),
        ("p-00005-right-cc-12", None, 12),
        ("Mass-Test_P_00005_RIGHT_CC_2.dcm", "mass", 2),
        ("Calc-Training_P_00005_RIGHT_CC", "calc", None),
        (f"Calc-Training_P_00005_RIGHT_CC/{UID}/000000.dcm", "calc", None),
        # a file's running number is no abnormality
        ("P_00005_RIGHT_CC_000001.png", None, None),
    ],
)
def test_kind_and_number(text: str, kind: str | None, number: int | None) -> None:
    assert parse_image(text) == ImageName("P_00005", Side.RIGHT, View.CC, kind, number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P_00005",
        "image_17.png",
        "XP_00005_RIGHT_CC_1",
        "P_00005_RIGHT_CCC_1",
        # two images in one path
        "P_00005_RIGHT_CC/P_00006_RIGHT_CC_1.png",
        "Calc-Training_P_00005_RIGHT_CC_1/Calc-Training_P_00005_RIGHT_CC_2.png",
        "Calc-Training_P_00005_RIGHT_CC_1/Mass-Training_P_00005_RIGHT_CC_1.png",
        "D1-0001_left.png",
    ],
)
def test_no_name_of_one_image(text: str) -> None:
    assert parse_image(text) is None


@pytest.mark.parametrize(
    ("text", "patient"),
    [
        ("P_00005", "P_00005"),
        ("p_00005", "P_00005"),
        ("P00005", "P_00005"),
        ("Mass-Training_P_00005_LEFT", "P_00005"),
        ("P_00005/P_00006", None),
        ("00005", None),
        ("TOP_00005", None),
        ("crops/P_00005/1.png", "P_00005"),
        ("C:\\crops\\P_00005\\1.png", "P_00005"),
        ("P_00005.png", "P_00005"),
        # of other data sets
        ("P-1000-A", None),
        ("P-1000-B", None),
        ("P_2020_01", None),
        ("site_P_00005", None),
    ],
)
def test_patients(text: str, patient: str | None) -> None:
    assert parse_patient(text) == patient


def test_copies_show_one_image() -> None:
    assert without_copy("b/7.png_copy3") == "b/7.png"
    assert without_copy("copy3") == "copy3"
