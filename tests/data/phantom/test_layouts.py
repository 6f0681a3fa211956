"""One phantom in each layout of CBIS-DDSM: the reader finds the same lesions and pixels."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from mcalc.config import PhantomConfig
from mcalc.data.images.image_file import read_image
from mcalc.data.phantom.download import write_phantom
from mcalc.data.records import DefectKind
from mcalc.data.sources.cbis_ddsm.index import read_index

SETTINGS = PhantomConfig(lesions=12, seed=9)
CSVS = ("calc_case_description_train_set.csv", "calc_case_description_test_set.csv")


def as_nbia(root: Path, target: Path) -> None:
    """`manifest-*/CBIS-DDSM/<case>/<date>-DDSM-NA-<n>/1.000000-<description>-<n>/1-N.dcm`.

    A series' folder is named after one description, whatever its files show, as NBIA does.
    """
    for series in sorted(path.parent for path in root.rglob("000000.dcm")):
        case, study, uid = series.relative_to(root).parts
        files = sorted(series.glob("*.dcm"))
        described = "full mammogram images" if len(files) == 1 else "ROI mask images"
        folder = target / "manifest-1" / "CBIS-DDSM" / case / f"07-20-2016-DDSM-NA-{study[-5:]}"
        folder /= f"1.000000-{described}-{uid[-5:]}"
        folder.mkdir(parents=True)
        for number, file in enumerate(files, start=1):
            (folder / f"1-{number}.dcm").symlink_to(file)
    for name in CSVS:
        shutil.copy(root / name, target)


def as_kaggle(root: Path, target: Path) -> None:
    """`jpeg/<SeriesUID>/*.jpg` with 8 bits, and `csv/` with the case CSVs and `dicom_info.csv`."""
    (target / "csv").mkdir()
    described = []
    for number, file in enumerate(sorted(root.rglob("*.dcm"))):
        data = pydicom.dcmread(file)
        folder = target / "jpeg" / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        pixels = data.pixel_array
        if pixels.dtype == np.uint16:
            pixels = np.round(pixels / 257).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"1-{number:03d}.jpg", quality=95)
        image_path = f"CBIS-DDSM/jpeg/{file.parent.name}/1-{number:03d}.jpg"
        described.append((image_path, data.SeriesDescription))
    with (target / "csv" / "dicom_info.csv").open("w", newline="") as info:
        csv.writer(info).writerows([("image_path", "SeriesDescription"), *described])
    for name in CSVS:
        shutil.copy(root / name, target / "csv")


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("legacy") / "phantom", SETTINGS)


@pytest.mark.parametrize(
    ("relayout", "name", "tolerance"), [(as_nbia, "nbia", 0.0), (as_kaggle, "kaggle", 0.02)]
)
def test_a_phantom_reads_the_same_in_every_layout(
    legacy: Path, tmp_path: Path, relayout: object, name: str, tolerance: float
) -> None:
    assert callable(relayout)
    relayout(legacy, tmp_path)
    theirs, ours = read_index(tmp_path), read_index(legacy)
    assert ("legacy" in ours.description, f"{name} layout" in theirs.description) == (True, True)
    assert [lesion.id for lesion in theirs.lesions] == [lesion.id for lesion in ours.lesions]
    for there, here in zip(theirs.lesions, ours.lesions, strict=True):
        for what in ("crop", "mask", "full"):
            found, original = getattr(there, what), getattr(here, what)
            assert found is not None
            assert original is not None
            pixels, expected = (
                image / np.iinfo(image.dtype).max
                for image in (read_image(found), read_image(original))
            )
            assert pixels.shape == expected.shape
            # JPEG's blocks ring at a mask's outline; on the whole they are one image
            assert np.abs(pixels - expected).mean() <= tolerance
    assert {defect.kind for defect in theirs.ledger} <= {DefectKind.SWAPPED}
