"""The phantom download: its files as others read them, its physics, and what `difficulty` means."""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcalc.config import PhantomConfig
from mcalc.data.phantom.calcifications import (
    CALCIFICATION_DISTRIBUTIONS,
    CALCIFICATION_TYPES,
    calcification_density,
)
from mcalc.data.phantom.cases import phantom_rows
from mcalc.data.phantom.download import write_phantom
from mcalc.data.phantom.texture import power_law_field
from mcalc.data.records import DefectKind, Pathology, Split
from mcalc.data.sources.cbis_ddsm.index import read_index
from mcalc.errors import UserError

REAL_COLUMNS = [
    "patient_id",
    "breast density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "calc type",
    "calc distribution",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
]
REAL_SHARES = {"MALIGNANT": 673 / 1872, "BENIGN": 658 / 1872, "BENIGN_WITHOUT_CALLBACK": 541 / 1872}
CSV_FILES = ("calc_case_description_train_set.csv", "calc_case_description_test_set.csv")
CROP_PIXELS_A_FILM_PIXEL = 4

SMALL = PhantomConfig(lesions=24, seed=7, difficulty=0.5)


def write(root: Path, **changes: float) -> Path:
    return write_phantom(root, PhantomConfig(**{**vars(SMALL), **changes}))


def csv_rows(root: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name in CSV_FILES:
        with (root / name).open(newline="") as file:
            rows.extend(csv.DictReader(file))
    return rows


def file_hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@dataclass
class LesionFiles:
    """A row's crop, mask and full image, distinguished by their SeriesDescription."""

    row: dict[str, str]
    crop: pydicom.Dataset
    mask: pydicom.Dataset
    full: pydicom.Dataset
    swapped: bool


def lesion_files(root: Path, row: dict[str, str]) -> LesionFiles:
    full, crop, mask = (
        pydicom.dcmread(root / row[column].strip())
        for column in ("image file path", "cropped image file path", "ROI mask file path")
    )
    swapped = crop.SeriesDescription == "ROI mask images"
    if swapped:
        crop, mask = mask, crop
    return LesionFiles(row, crop, mask, full, swapped)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("phantom") / "small")


@pytest.fixture(scope="module")
def small_lesions(small: Path) -> list[LesionFiles]:
    return [lesion_files(small, row) for row in csv_rows(small)]


# --- physics ------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_texture_has_the_power_spectrum_asked_for(exponent: float) -> None:
    side = 256
    field = power_law_field((side, side), np.random.default_rng(0), exponent)
    power = np.abs(np.fft.fftshift(np.fft.fft2(field.astype(np.float64)))) ** 2
    y, x = np.indices((side, side)) - side // 2
    ring = np.hypot(y, x).round().astype(int)
    radial_mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    radii = np.arange(4, side // 3)
    slope, _ = np.polyfit(np.log(radii), np.log(radial_mean[radii]), 1)
    assert slope == pytest.approx(-exponent, abs=0.15)
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)


def test_texture_holds_nothing_below_its_lowest_frequency() -> None:
    field = power_law_field((128, 96), np.random.default_rng(1), lowest_frequency=0.125)
    power = np.abs(np.fft.fft2(field.astype(np.float64))) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(96)[None, :])
    assert power[frequency < 0.12].sum() < 1e-6 * power.sum()


@pytest.mark.parametrize("kind", CALCIFICATION_TYPES)
def test_every_calcification_type_can_be_seen(kind: str) -> None:
    density = calcification_density((160, 160), (kind,), "CLUSTERED", 3, np.random.default_rng(3))
    assert density.min() >= 0
    assert density.max() > 0.08
    assert np.median(density) < 0.01, "most of a crop is tissue"


def components(kind: str, distribution: str = "DIFFUSELY_SCATTERED") -> int:
    density = calcification_density((300, 300), (kind,), distribution, 3, np.random.default_rng(5))
    return int(ndimage.label(density > 0.3 * density.max())[1])


def test_malignant_types_are_many_and_benign_types_few() -> None:
    assert components("PLEOMORPHIC") > 15
    assert components("ROUND_AND_REGULAR") <= 4
    assert components("PUNCTATE") <= 8


def test_a_lucent_centre_is_darker_than_its_rim() -> None:
    density = calcification_density(
        (200, 200), ("EGGSHELL",), "CLUSTERED", 3, np.random.default_rng(10)
    )
    shell = density > 0.6 * density.max()
    hollow = ndimage.binary_fill_holes(shell) & ~shell
    assert hollow.sum() > 100
    assert density[hollow].mean() < 0.75 * density[shell].mean()


def spread(distribution: str) -> tuple[float, float]:
    """Smaller and larger standard deviation of the calcium's places, as shares of the side."""
    density = calcification_density(
        (200, 200), ("PLEOMORPHIC",), distribution, 3, np.random.default_rng(2)
    )
    y, x = np.nonzero(density > 0.1)
    smaller, larger = np.sqrt(np.linalg.eigvalsh(np.cov(y, x))) / 200
    return float(smaller), float(larger)


def test_distributions_arrange_calcifications_as_they_are_named() -> None:
    clustered, linear, scattered = map(spread, ("CLUSTERED", "LINEAR", "DIFFUSELY_SCATTERED"))
    assert linear[1] > 3 * linear[0], "a line is long and narrow"
    assert clustered[1] < 2 * clustered[0], "a cluster is about as long as wide"
    assert scattered[0] > 1.3 * clustered[1], "scattered ones lie further apart"
    assert {"REGIONAL", "SEGMENTAL"} < set(CALCIFICATION_DISTRIBUTIONS)


def test_subtlety_5_is_denser_than_subtlety_1() -> None:
    subtle, obvious = (
        calcification_density(
            (120, 120), ("COARSE",), "CLUSTERED", subtlety, np.random.default_rng(1)
        )
        for subtlety in (1, 5)
    )
    assert obvious.max() > 1.2 * subtle.max()


# --- files --------------------------------------------------------------------------------------


def test_csvs_have_the_real_columns_and_quirks(small: Path) -> None:
    for name in CSV_FILES:
        raw = (small / name).read_bytes()
        lines = raw.split(b"\r\n")
        assert lines[0].decode().split(",") == REAL_COLUMNS
        # A quoted field that ends in a line feed: two physical lines a row.
        assert raw.count(b'/000001.dcm\n",') == len(lines) - 2
    rows = csv_rows(small)
    assert len(rows) == SMALL.lesions
    assert all(row["cropped image file path"].endswith("\n") for row in rows)
    assert not any(row["ROI mask file path"].endswith("\n") for row in rows)
    assert {row["abnormality type"] for row in rows} == {"calcification"}
    for column in ("calc type", "calc distribution"):
        assert 0 < sum(row[column] == "NA" for row in rows) < len(rows) / 2
    assert 0 < sum(row["breast density"] == "0" for row in rows) < 4


@pytest.mark.shared
def test_descriptors_are_written_as_in_the_real_csvs(small: Path, shared_data: Path) -> None:
    with (shared_data / "cbis-ddsm" / "csv" / CSV_FILES[0]).open(newline="") as file:
        reader = csv.DictReader(file)
        real = list(reader)
        assert reader.fieldnames == REAL_COLUMNS
    for column in ("calc type", "calc distribution"):
        known = {word for row in real for word in row[column].split("-")}
        drawn = CALCIFICATION_TYPES if column == "calc type" else CALCIFICATION_DISTRIBUTIONS
        assert set(drawn) <= known
    for column in ("pathology", "left or right breast", "image view", "assessment", "subtlety"):
        assert {row[column] for row in csv_rows(small)} <= {row[column] for row in real}


@pytest.mark.parametrize(("name", "prefix"), [(CSV_FILES[0], "Training"), (CSV_FILES[1], "Test")])
def test_paths_follow_the_legacy_layout(small: Path, name: str, prefix: str) -> None:
    with (small / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        image = f"{row['patient_id']}_{row['left or right breast']}_{row['image view']}"
        full, crop, mask = (
            row[column].strip().split("/")
            for column in ("image file path", "cropped image file path", "ROI mask file path")
        )
        assert full[0] == f"Calc-{prefix}_{image}"
        assert crop[0] == mask[0] == f"{full[0]}_{row['abnormality id']}"
        assert crop[1:3] == mask[1:3], "crop and mask share a series"
        assert [full[3], crop[3], mask[3]] == ["000000.dcm", "000001.dcm", "000000.dcm"]


def test_dicom_files_are_as_in_cbis_ddsm(small_lesions: list[LesionFiles]) -> None:
    for lesion in small_lesions:
        for image, bits, description in (
            (lesion.crop, 16, "cropped images"),
            (lesion.mask, 8, "ROI mask images"),
            (lesion.full, 16, "full mammogram images"),
        ):
            assert image.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
            assert image.SOPClassUID == SecondaryCaptureImageStorage
            assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
            assert (image.BitsAllocated, image.BitsStored, image.HighBit) == (bits, bits, bits - 1)
            assert image.PhotometricInterpretation == "MONOCHROME2"
            assert image.SeriesDescription == description
            folders = Path(str(image.filename)).parts
            assert [image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID] == list(
                folders[-4:-1]
            )
            assert image.pixel_array.shape == (image.Rows, image.Columns)
    assert 0 < sum(lesion.swapped for lesion in small_lesions) < 4


def test_crops_are_stretched_over_16_bits_and_vary_in_size(
    small_lesions: list[LesionFiles],
) -> None:
    sides = [side for lesion in small_lesions for side in (lesion.crop.Rows, lesion.crop.Columns)]
    assert min(sides) >= 80
    assert max(sides) <= 400
    assert len(set(sides)) > 10
    for lesion in small_lesions:
        pixels = lesion.crop.pixel_array
        assert (pixels.min(), pixels.max()) == (0, 65535)


def test_masks_mark_where_the_crop_lies_on_the_full_image(
    small_lesions: list[LesionFiles],
) -> None:
    for lesion in small_lesions:
        mask, full = lesion.mask.pixel_array, lesion.full.pixel_array
        assert mask.shape == full.shape == (512, 384)
        assert set(np.unique(mask)) == {0, 255}
        (box,) = ndimage.find_objects(mask // 255)
        place = full[box].astype(np.float64)
        zoom = CROP_PIXELS_A_FILM_PIXEL
        assert (lesion.crop.Rows, lesion.crop.Columns) == tuple(zoom * n for n in place.shape)
        crop = lesion.crop.pixel_array.astype(np.float64)
        averaged = crop.reshape(place.shape[0], zoom, place.shape[1], zoom).mean(axis=(1, 3))
        assert np.corrcoef(averaged.ravel(), place.ravel())[0, 1] > 0.9


def test_lesions_of_one_image_do_not_overlap(tmp_path: Path) -> None:
    root = write(tmp_path / "phantom", lesions=40)
    masks: dict[str, list[npt.NDArray[np.bool_]]] = {}
    for row in csv_rows(root):
        lesion = lesion_files(root, row)
        masks.setdefault(row["image file path"], []).append(lesion.mask.pixel_array > 0)
    pairs = [found for found in masks.values() if len(found) > 1]
    assert pairs
    assert not any(np.logical_and(*found).any() for found in pairs)


def test_the_ordinary_reader_finds_every_file(small: Path) -> None:
    index = read_index(small)
    assert "(legacy layout)" in index.description
    assert len(index.lesions) == SMALL.lesions
    for lesion in index.lesions:
        assert lesion.crop is not None
        assert lesion.mask is not None
        assert lesion.full is not None
    kinds = {defect.kind for defect in index.ledger}
    assert DefectKind.SWAPPED in kinds
    assert kinds <= {DefectKind.SWAPPED, DefectKind.LABEL_CONFLICT}


# --- same settings, same phantom ----------------------------------------------------------------


def test_same_settings_give_the_same_bytes_and_another_seed_others(
    small: Path, tmp_path: Path
) -> None:
    again = file_hashes(write(tmp_path / "again"))
    other = file_hashes(write(tmp_path / "other", seed=8))
    assert again == file_hashes(small)
    assert not set(again.values()) & set(other.values())


@pytest.mark.parametrize("cores", [1, 5])
def test_the_number_of_cores_changes_no_byte(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert file_hashes(write(tmp_path / "phantom")) == file_hashes(small)


def test_a_larger_phantom_has_the_same_first_lesions(small: Path, tmp_path: Path) -> None:
    larger = write(tmp_path / "larger", lesions=SMALL.lesions + 6)
    crops = {row["cropped image file path"].strip(): row["pathology"] for row in csv_rows(larger)}
    for row in csv_rows(small):
        path = row["cropped image file path"].strip()
        assert crops[path] == row["pathology"]
        assert (larger / path).read_bytes() == (small / path).read_bytes()


def test_a_phantom_that_is_there_is_kept(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    calls: list[tuple[int, int]] = []
    returned = write_phantom(small, SMALL, lambda done, total: calls.append((done, total)))
    assert returned == small
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_progress_counts_lesions_up_to_all(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_phantom(
        tmp_path / "deep" / "phantom",
        PhantomConfig(lesions=9),
        lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (9, 9)
    assert {total for _, total in calls} == {9}
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_nothing_is_left_of_a_phantom_that_was_broken_off(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "phantom", SMALL, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", lesions=8)
    assert len(csv_rows(tmp_path / "empty")) == 8


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"seed": 8}, '"seed": 7'),
        ({"difficulty": 1.0}, '"difficulty": 0.5'),
        ({"full_height": 1024}, '"full_height": 512'),
    ],
)
def test_another_phantom_is_not_overwritten(
    small: Path, change: dict[str, float], shown: str
) -> None:
    with pytest.raises(UserError, match="other settings") as caught:
        write(small, **change)
    assert str(small) in str(caught.value)
    assert shown in str(caught.value)
    assert "data.root=PATH" in str(caught.value)


def test_foreign_content_is_not_touched(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(UserError, match="no phantom"):
        write(tmp_path)
    assert precious.read_text() == "years of work"
    with pytest.raises(UserError, match="is a file"):
        write(precious)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_broken_marker_is_named(tmp_path: Path) -> None:
    (tmp_path / "phantom.json").write_text("{")
    with pytest.raises(UserError, match=r"phantom\.json is not valid JSON"):
        write(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written") as caught:
        write(tmp_path / "file" / "phantom")
    assert str(tmp_path / "file" / "phantom") in str(caught.value)


def test_two_writers_at_once_share_one_phantom(small: Path, tmp_path: Path) -> None:
    root = tmp_path / "phantom"
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        roots = pool.starmap(write_phantom, [(root, SMALL)] * 2, chunksize=1)
    assert roots == [root, root]
    assert file_hashes(root) == file_hashes(small)
    assert [path.name for path in tmp_path.iterdir()] == ["phantom"]


def test_the_loser_of_a_race_takes_the_winners_phantom(small: Path, tmp_path: Path) -> None:
    """The other writer finishes while this one is at its last image."""
    root = tmp_path / "phantom"

    def other_writer_finishes(done: int, total: int) -> None:
        if done == total:
            write(root)

    assert write_phantom(root, SMALL, other_writer_finishes) == root
    assert file_hashes(root) == file_hashes(small)
    assert [path.name for path in tmp_path.iterdir()] == ["phantom"]


# --- labels -------------------------------------------------------------------------------------


def test_pathology_and_split_shares_are_those_of_cbis_ddsm() -> None:
    rows = phantom_rows(PhantomConfig(lesions=3000, seed=1))
    pathology = Counter(row.finding.pathology.value for row in rows)
    for name, share in REAL_SHARES.items():
        assert pathology[name] / len(rows) == pytest.approx(share, abs=0.03)
    patients = {row.patient_id: row.split for row in rows}
    in_test = sum(split is Split.TEST for split in patients.values())
    assert in_test / len(patients) == pytest.approx(0.17, abs=0.02)
    for split in Split:
        malignant = [
            row.finding.pathology is Pathology.MALIGNANT for row in rows if row.split is split
        ]
        assert np.mean(malignant) == pytest.approx(REAL_SHARES["MALIGNANT"], abs=0.06)


def test_as_many_rows_as_the_real_set_are_of_as_many_images_and_patients() -> None:
    """753 patients, 1511 images, 222 of them with several lesions."""
    for seed in range(4):
        rows = phantom_rows(PhantomConfig(lesions=1872, seed=seed))
        lesions_an_image = Counter(row.image_case for row in rows)
        crowded = sum(several > 1 for several in lesions_an_image.values())
        assert len({row.patient for row in rows}) == pytest.approx(753, rel=0.03)
        assert len(lesions_an_image) == pytest.approx(1511, rel=0.03)
        assert crowded == pytest.approx(222, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_the_smallest_phantom_has_both_classes_and_both_splits(seed: int) -> None:
    rows = phantom_rows(PhantomConfig(lesions=8, seed=seed))
    assert len({row.finding.pathology is Pathology.MALIGNANT for row in rows}) == 2
    assert {row.split for row in rows} == set(Split)


def test_no_patient_is_in_both_splits_and_images_show_one_to_seven_lesions() -> None:
    rows = phantom_rows(PhantomConfig(lesions=500, seed=3))
    assert len({row.lesion_case for row in rows}) == 500
    for patient in {row.patient_id for row in rows}:
        assert len({row.split for row in rows if row.patient_id == patient}) == 1
    images_a_patient = Counter(patient for patient, _ in {(r.patient, r.image_case) for r in rows})
    assert set(images_a_patient.values()) <= {1, 2, 3, 4}
    lesions_an_image = Counter(row.image_case for row in rows)
    assert set(lesions_an_image.values()) <= set(range(1, 8))


def test_assessment_goes_with_the_label() -> None:
    rows = phantom_rows(PhantomConfig(lesions=1000, seed=5))
    malignant = np.array([row.finding.pathology is Pathology.MALIGNANT for row in rows])
    assessment = np.array([row.finding.assessment for row in rows])
    assert assessment[malignant].mean() > assessment[~malignant].mean() + 0.5


MALIGNANT_WORDS = {"PLEOMORPHIC", "FINE_LINEAR_BRANCHING"}


@pytest.mark.parametrize(
    ("difficulty", "lowest", "highest"), [(0.0, 0.93, 1.0), (0.5, 0.65, 0.78), (1.0, 0.45, 0.55)]
)
def test_difficulty_moves_the_overlap_of_descriptors(
    difficulty: float, lowest: float, highest: float
) -> None:
    """AUC of one descriptor: about (1 - d/2) where looks are separated almost without error."""
    rows = phantom_rows(PhantomConfig(lesions=3000, seed=2, difficulty=difficulty))
    malignant = [row.finding.pathology is Pathology.MALIGNANT for row in rows]
    words = [bool(MALIGNANT_WORDS & set(row.finding.types)) for row in rows]
    assert lowest <= roc_auc_score(malignant, words) <= highest


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_crop_size_hardly_predicts_the_label(difficulty: float) -> None:
    rows = phantom_rows(PhantomConfig(lesions=1500, seed=4, difficulty=difficulty))
    malignant = [row.finding.pathology is Pathology.MALIGNANT for row in rows]
    for size in ("height", "width"):
        assert roc_auc_score(malignant, [getattr(row, size) for row in rows]) < 0.62
    assert roc_auc_score(malignant, [row.height * row.width for row in rows]) < 0.62


def image_statistics(crop: npt.NDArray[np.uint16]) -> list[float]:
    """Brightness, contrast and the number of bright local maxima of a crop."""
    smooth = ndimage.gaussian_filter(crop.astype(np.float32) / 65535, 1.5)
    maxima = (smooth == ndimage.maximum_filter(smooth, 7)) & (smooth > 0.5)
    return [float(smooth.mean()), float(smooth.std()), float(np.log1p(maxima.sum()))]


def auc_of_image_statistics(root: Path) -> float:
    lesions = [lesion_files(root, row) for row in csv_rows(root)]
    features = np.array([image_statistics(lesion.crop.pixel_array) for lesion in lesions])
    labels = np.array([lesion.row["pathology"] == "MALIGNANT" for lesion in lesions])
    probabilities = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression()),
        features,
        labels,
        groups=[lesion.row["patient_id"] for lesion in lesions],
        cv=GroupKFold(5),
        method="predict_proba",
    )[:, 1]
    return float(roc_auc_score(labels, probabilities))


def test_at_difficulty_0_images_separate_the_classes(tmp_path: Path) -> None:
    root = write(tmp_path / "easy", lesions=120, difficulty=0, full_height=256)
    assert auc_of_image_statistics(root) > 0.9


@pytest.mark.whole
def test_at_difficulty_1_images_do_not_separate_the_classes(tmp_path: Path) -> None:
    """Within 2.5 standard deviations of 0.5 (about 0.067 for some 75 patients of two views)."""
    root = write(tmp_path / "hard", lesions=160, difficulty=1, full_height=256)
    assert auc_of_image_statistics(root) == pytest.approx(0.5, abs=0.17)


def test_the_marker_names_the_settings(small: Path) -> None:
    marker = json.loads((small / "phantom.json").read_text())
    assert {key: value for key, value in marker.items() if key != "format_version"} == vars(SMALL)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """Here a limit of the size of files, which ends a write as a full disk does."""
    program = """
import resource, sys
from pathlib import Path
from mcalc.config import PhantomConfig
from mcalc.data.phantom.download import write_phantom
from mcalc.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_phantom(Path(sys.argv[1]), PhantomConfig(lesions=24))
except UserError as error:
    print(error)
"""
    place = tmp_path / "phantom"
    done = subprocess.run(
        [sys.executable, "-c", program, str(place)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout == (
        f"the phantom cannot be written to {place}: File too large; free some space or name a "
        "folder that can be written with data.root=PATH or data.cache=PATH\n"
    )
    assert not list(tmp_path.iterdir())
