"""A phantom with every defect, and the ordinary reader on it: nothing missed, nothing made up."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from mcalc.config import DataConfig, PhantomConfig, Region, Unit
from mcalc.data.images.file_hashes import file_digests
from mcalc.data.images.image_file import read_image
from mcalc.data.images.prepare import Prepared, prepare_images
from mcalc.data.phantom.defects.plant import EXPECTED_FILE, FEWEST_LESIONS
from mcalc.data.phantom.download import write_phantom
from mcalc.data.records import Defect, DefectKind, Index, Lesion
from mcalc.data.sources.registry import open_source
from mcalc.errors import UserError

SETTINGS = PhantomConfig(lesions=FEWEST_LESIONS, seed=3, defects=True)

NOT_PLANTED = {
    DefectKind.EXCLUDED: "a setting leaves lesions out, whatever the files",
    DefectKind.COUNT_DIFFERS: "a phantom has no published counts",
    DefectKind.PATIENT_UNKNOWN: "the case CSVs always name the patient",
    DefectKind.COPY: "tests/data/images/test_duplicates.py makes copies",
    DefectKind.COPY_CONFLICT: "as copies",
    DefectKind.PATIENTS_ALIKE: "tests/data/sources/test_alike_patients.py writes such ids",
    DefectKind.BLANK: "tests/data/images/test_prepare.py writes images of one value",
    DefectKind.NEARLY_BLACK: "a whole set is, and then nothing else can be planted in it",
    DefectKind.NAME_DIFFERS: "a disk that ignores case cannot hold such names",
}
"""Kinds that a phantom does not have, and why."""


@dataclass(frozen=True)
class Read:
    """A region as the reader has it."""

    index: Index
    prepared: Prepared

    @property
    def ledger(self) -> list[Defect]:
        return [*self.index.ledger, *self.prepared.defects]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("defects") / "phantom", SETTINGS)


def read(root: Path, region: Region, cache: Path) -> Read:
    data = DataConfig(
        source="phantom",
        root=str(root),
        region=region,
        unit=Unit.image if region is Region.full else Unit.lesion,
        cache=str(cache),
        phantom=SETTINGS,
    )
    index = open_source(data)
    digests = file_digests(index.lesions, region, cache)
    return Read(index, prepare_images(index.lesions, digests, 64, data, cache))


@pytest.fixture(scope="module")
def regions(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Region, Read]:
    cache = tmp_path_factory.mktemp("cache")
    return {region: read(root, region, cache) for region in Region}


def expected(root: Path, *found_by: str) -> set[tuple[str, str]]:
    with (root / EXPECTED_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["found_by"] for row in rows} == {"index", "crop", "patch", "full"}
    return {(row["lesion"], row["kind"]) for row in rows if row["found_by"] in found_by}


def found(defects: list[Defect]) -> set[tuple[str, str]]:
    return {(defect.lesion, defect.kind.value) for defect in defects}


# --- the reader against what was planted --------------------------------------------------------


def test_every_kind_that_files_can_show_is_planted(root: Path) -> None:
    kinds = {kind for _, kind in expected(root, "index", "crop", "patch", "full")}
    assert kinds == {kind.value for kind in DefectKind if kind not in NOT_PLANTED}


@pytest.mark.parametrize(
    ("region", "found_by"),
    [
        (Region.crop, ("index", "crop")),
        (Region.patch, ("index", "patch", "full")),
        (Region.full, ("index", "full")),
    ],
)
def test_the_reader_finds_what_was_planted_and_nothing_else(
    root: Path, regions: dict[Region, Read], region: Region, found_by: tuple[str, ...]
) -> None:
    owed = expected(root, *found_by)
    if region is Region.patch:
        # how a breast hangs is looked at on whole mammograms
        owed = {each for each in owed if each[1] != DefectKind.LATERALITY}
    reported = found(regions[region].ledger)
    # headers betray some unreadable crops to the index, whatever the region
    at_header = {each for each in expected(root, "crop") if each[1] == DefectKind.CROP_UNREADABLE}
    assert owed - reported == set()
    assert reported - owed - at_header == set()


def test_every_lesion_whose_files_are_well_is_read(root: Path, regions: dict[Region, Read]) -> None:
    """Odd but legitimate files cost no lesion."""
    lost = {
        lesion
        for lesion, kind in expected(root, "index", "crop")
        if kind in (DefectKind.CROP_MISSING, DefectKind.CROP_UNREADABLE)
    } | {
        defect.lesion
        for defect in regions[Region.crop].index.ledger
        if defect.kind is DefectKind.UNSAFE_PATH and "cropped" in defect.detail
    }
    assert len(lost) == 8
    lesions = {lesion.id for lesion in regions[Region.crop].index.lesions}
    # three rows of the CSVs are not understood
    assert len(lesions) == FEWEST_LESIONS - 3
    assert {lesion.id for lesion in regions[Region.crop].prepared.lesions} == lesions - lost


def test_the_quirks_of_a_layout_are_read_through(regions: dict[Region, Read]) -> None:
    index = regions[Region.crop].index
    crops = [lesion.crop for lesion in index.lesions if lesion.crop is not None]
    assert {crop.suffix for crop in crops} == {".dcm", ".DCM", ".jpg"}
    assert not any(crop.name.startswith(".") for crop in crops)
    assert any(lesion.density is None for lesion in index.lesions)
    assert any(not lesion.calc_types for lesion in index.lesions)


def full_images(index: Index, wanted: Callable[[pydicom.Dataset], bool]) -> list[Lesion]:
    lesions = []
    for lesion in index.lesions:
        if lesion.full is None:
            continue
        header = pydicom.dcmread(lesion.full, stop_before_pixels=True)
        if wanted(header):
            lesions.append(lesion)
    return lesions


@pytest.mark.parametrize(
    "wanted",
    [
        lambda header: header.PhotometricInterpretation == "MONOCHROME1",
        lambda header: header.BitsStored == 12,
        lambda header: "WindowCenter" in header,
        lambda header: "PixelPaddingValue" in header,
    ],
    ids=["monochrome1", "12-bit", "window", "padding"],
)
def test_odd_full_images_look_as_any_other(
    regions: dict[Region, Read], wanted: Callable[[pydicom.Dataset], bool]
) -> None:
    """Dark air, a breast of middling grey at the chest wall, the crop where the mask says."""
    (lesion,) = full_images(regions[Region.crop].index, wanted)
    assert lesion.full is not None
    pixels = read_image(lesion.full) / 65535
    if lesion.side == "RIGHT":
        pixels = pixels[:, ::-1]
    assert np.median(pixels[10:-30, -20:-8]) < 0.1, "air"
    assert 0.2 < np.median(pixels[200:300, 20:200]) < 0.6, "breast"
    assert pixels[-6:-3].max() < 0.1 or "PixelPaddingValue" not in pydicom.dcmread(lesion.full)
    assert lesion.mask is not None
    assert lesion.crop is not None
    rows, columns = np.nonzero(read_image(lesion.mask))
    place = read_image(lesion.full)[
        rows.min() : rows.max() + 1, columns.min() : columns.max() + 1
    ].astype(np.float64)
    crop = read_image(lesion.crop).astype(np.float64)
    averaged = crop.reshape(place.shape[0], 4, place.shape[1], 4).mean(axis=(1, 3))
    assert np.corrcoef(averaged.ravel(), place.ravel())[0, 1] > 0.9


# --- the phantom itself -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 12345])
def test_any_seed_carries_every_defect_at_the_fewest_lesions(seed: int, tmp_path: Path) -> None:
    settings = PhantomConfig(lesions=FEWEST_LESIONS, seed=seed, defects=True)
    root = write_phantom(tmp_path / "phantom", settings)
    kinds = {kind for _, kind in expected(root, "index", "crop", "patch", "full")}
    assert kinds == {kind.value for kind in DefectKind if kind not in NOT_PLANTED}


def test_defects_stand_at_fixed_places(root: Path, tmp_path: Path) -> None:
    again = write_phantom(tmp_path / "again", SETTINGS)
    files = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    for file in files:
        assert (again / file).read_bytes() == (root / file).read_bytes()


def test_too_few_lesions_for_the_defects_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    settings = PhantomConfig(lesions=FEWEST_LESIONS - 1, defects=True)
    with pytest.raises(UserError, match=f"data.phantom.lesions={FEWEST_LESIONS} or more"):
        write_phantom(tmp_path / "phantom", settings)
    assert list(tmp_path.iterdir()) == []


def test_a_phantom_without_defects_has_none_but_its_quirks(tmp_path: Path) -> None:
    settings = PhantomConfig(lesions=FEWEST_LESIONS, seed=3)
    data = DataConfig(source="phantom", root=str(tmp_path / "phantom"), phantom=settings)
    index = open_source(data)
    kinds = {defect.kind for defect in index.ledger}
    assert kinds <= {DefectKind.SWAPPED, DefectKind.LABEL_CONFLICT}
    assert not (tmp_path / "phantom" / EXPECTED_FILE).exists()
