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


def as_series(root: Path, target: Path, base: str = "", name: str = "1-{}.dcm") -> None:
    """`<base>/<SeriesUID>/1-N.dcm`, as tcia_utils writes; crop and mask share a folder."""
    for series in sorted({path.parent for path in root.rglob("*.dcm")}):
        folder = target / base / series.name
        folder.mkdir(parents=True)
        # numbered in the other order: they tell nothing
        for number, file in enumerate(sorted(series.glob("*.dcm"), reverse=True), start=1):
            (folder / name.format(number)).symlink_to(file)
    for csv_name in CSVS:
        shutil.copy(root / csv_name, target)


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("legacy") / "phantom", SETTINGS)


@pytest.mark.parametrize(
    ("relayout", "name", "tolerance"),
    [(as_nbia, "nbia", 0.0), (as_kaggle, "kaggle", 0.02), (as_series, "series", 0.0)],
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


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("", "00000{}.dcm"),
        ("CBIS-DDSM", "1-{}.dcm"),
        ("cbis-ddsm", "1-0{}.DCM"),
        ("manifest-1", "1-{}.dcm"),
        ("manifest-1/CBIS-DDSM", "1-{}.dcm"),
        ("tciaDownload", "1-{}.dcm"),
    ],
)
def test_folders_of_series_are_found_wherever_a_downloader_puts_them(
    legacy: Path, tmp_path: Path, base: str, name: str
) -> None:
    as_series(legacy, tmp_path, base, name)
    (tmp_path / "metadata.csv").write_text("Series UID,File Location\n1.2,x\n")
    theirs, ours = read_index(tmp_path), read_index(legacy)
    assert "series layout" in theirs.description
    for there, here in zip(theirs.lesions, ours.lesions, strict=True):
        for what in ("crop", "mask", "full"):
            assert getattr(there, what).resolve() == getattr(here, what).resolve(), (there.id, what)


def test_layouts_of_cases_and_of_series_complete_each_other(legacy: Path, tmp_path: Path) -> None:
    as_series(legacy, tmp_path)
    ours = read_index(legacy).lesions
    first, second = ours[0], ours[1]
    assert first.crop
    assert second.mask
    # the first lesion has a case folder alone, and the second one for its mask
    shutil.rmtree(tmp_path / first.crop.parent.name)
    shutil.copytree(first.crop.parents[1], tmp_path / first.id / first.crop.parents[1].name)
    series = second.mask.parent.name
    for file in (tmp_path / series).iterdir():
        if file.resolve() == second.mask.resolve():
            file.unlink()
    to = tmp_path / second.id / "1.2.3" / f"1.000000-mask-{series[-5:]}" / "1-1.dcm"
    to.parent.mkdir(parents=True)
    shutil.copy(second.mask, to)
    theirs = read_index(tmp_path)
    assert "nbia+legacy+series layout" in theirs.description
    assert all(lesion.crop and lesion.mask and lesion.full for lesion in theirs.lesions)
    assert theirs.lesions[1].mask == to
