from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from builders import make_lesion

from mcalc.config import Region
from mcalc.data.records import DefectKind, Side, has_needed_files, needed_files

CROP, MASK, FULL = Path("crop.dcm"), Path("mask.dcm"), Path("full.dcm")


def test_a_lesion_says_its_image_and_its_breast() -> None:
    lesion = make_lesion(5, number=2)
    assert lesion.image == "Calc-Training_P_00005_LEFT_CC"
    assert lesion.breast == "P_00005_LEFT"
    assert replace(lesion, side=Side.RIGHT).breast == "P_00005_RIGHT"
    assert replace(lesion, mammogram="scan 7").image == "scan 7"


def test_breasts_of_unknown_side_are_not_mixed_up() -> None:
    unknown = replace(make_lesion(5), side=None)
    assert unknown.breast not in {replace(unknown, side=side).breast for side in Side}


def test_a_lesion_cannot_be_changed_and_can_be_a_key() -> None:
    lesion = make_lesion(5)
    with pytest.raises(FrozenInstanceError):
        lesion.patient = "P_00006"  # type: ignore[misc]
    assert {lesion: 1}[make_lesion(5)] == 1


@pytest.mark.parametrize(
    ("region", "needed"),
    [
        (Region.crop, {"crop": CROP}),
        (Region.patch, {"full": FULL, "mask": MASK}),
        (Region.full, {"full": FULL}),
    ],
)
def test_files_that_a_region_is_made_of(region: Region, needed: dict[str, Path]) -> None:
    whole = replace(make_lesion(5), crop=CROP, mask=MASK, full=FULL)
    assert needed_files(whole, region) == needed
    assert has_needed_files(whole, region)
    for name in ("crop", "mask", "full"):
        without = replace(whole, **{name: None})
        assert has_needed_files(without, region) is (name not in needed)


def test_kinds_of_defects_have_different_words() -> None:
    words = [kind.value for kind in DefectKind]
    assert len(set(words)) == len(words)
    assert not [word for word in words if "," in word or word != word.strip()]
