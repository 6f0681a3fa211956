from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mcalc.config import CsvSplit, DataConfig, Region, WithoutCallback
from mcalc.data.command import print_check
from mcalc.data.records import Counts, Defect, DefectKind, Index, count
from mcalc.data.sources.cbis_ddsm.index import read_index
from mcalc.data.sources.cbis_ddsm.published_counts import PUBLISHED, published_differences

TRAIN = "calc_case_description_train_set.csv"


@pytest.fixture
def download(
    tmp_path: Path, case_csv: Callable[..., Any], dicom: Callable[..., Path], grey: Any
) -> Path:
    """Four lesions of two patients, the last without its crop."""
    root, cases = tmp_path / "download", case_csv()
    for patient, number, pathology in (
        ("P_00001", 1, "BENIGN"), ("P_00001", 2, "MALIGNANT"),
        ("P_00002", 1, "BENIGN_WITHOUT_CALLBACK"), ("P_00002", 2, "BENIGN_WITHOUT_CALLBACK"),
    ):  # fmt: skip
        row = cases.add(patient, number=number, pathology=pathology)
        if len(cases.rows) < 4:
            dicom(root / row["cropped image file path"], grey(8, 9), description="cropped images")
    cases.write(root / TRAIN)
    return root


def _printed(index: Index, **settings: Any) -> str:
    out = io.StringIO()
    data = DataConfig(**settings)
    print_check(index, Console(file=out, width=200), Path("ledger.csv"), data, None)
    return out.getvalue()


def test_lesions_images_patients_and_labels_are_counted(download: Path) -> None:
    assert count(read_index(download).lesions) == Counts(4, 2, 2, 1, 2, 1)


def test_published_counts_add_up_to_those_of_the_data_set() -> None:
    for counts in PUBLISHED.values():
        assert counts.benign + counts.benign_without_callback + counts.malignant == counts.rows
    # Lee et al. 2017: 753 calcification cases
    assert sum(counts.patients for counts in PUBLISHED.values()) == 753
    assert sum(counts.rows for counts in PUBLISHED.values()) == 1872


def test_counts_are_shown_beside_the_published_ones(download: Path) -> None:
    text = _printed(replace(read_index(download), published=PUBLISHED))
    assert "legacy layout" in text
    assert "4 (1546)" in text
    assert "2 (1227)" in text
    assert "1 (528)" in text
    assert "crops on disk: for 3 of 4 lesions" in text
    assert "masks on disk: for 0 of 4 lesions" in text
    assert "complete: 75.0%" in text
    assert "crop missing" in text
    assert "Calc-Training_P_00002_RIGHT_CC_2" in text
    assert "Pixels were not checked" in text
    assert "ledger.csv" in text


def test_a_split_that_was_not_read_is_not_counted_as_nothing(download: Path) -> None:
    text = _printed(replace(read_index(download), published=PUBLISHED))
    line = next(line for line in text.splitlines() if " test " in line)
    assert "not read" in line
    assert "(326)" not in line


def test_data_without_published_counts_shows_its_counts_alone(download: Path) -> None:
    assert "1546" not in _printed(read_index(download))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (WithoutCallback.benign, "3 benign, 1 malignant"),
        (WithoutCallback.exclude, "2 excluded; 1 benign, 1 malignant"),
        (WithoutCallback.own_class, "1 benign, 1 malignant, 2 benign without callback"),
    ],
)
def test_what_the_label_rule_makes_of_the_lesions_is_printed(
    download: Path, rule: WithoutCallback, says: str
) -> None:
    text = _printed(read_index(download), benign_without_callback=rule)
    assert f"labels with data.benign_without_callback={rule.value}: {says}\n" in text


def test_completeness_is_that_of_the_region(download: Path) -> None:
    index = read_index(download)
    text = _printed(index, region=Region.patch)
    assert "complete: 0.0% (lesions with a full image and a mask, as data.region=patch" in text


def test_what_was_met_in_pixels_counts(download: Path) -> None:
    index = read_index(download)
    damaged = Defect(index.lesions[0].id, DefectKind.CROP_UNREADABLE, "x", "excluded")
    out = io.StringIO()
    data = DataConfig()
    print_check(index, Console(file=out, width=200), Path("ledger.csv"), data, [damaged])
    assert "complete: 50.0%" in out.getvalue()
    assert "Pixels were not checked" not in out.getvalue()


def test_notes_and_checks_that_could_not_be_made_are_printed(download: Path) -> None:
    index = replace(read_index(download), notes=("beware [of this]",))
    text = _printed(index)
    assert "Note: beware [of this]" in text
    assert "Not checked: patients that cross the official splits" in text


def test_counts_that_differ_from_the_published_ones_are_rows(download: Path) -> None:
    lesions = read_index(download).lesions
    train, test = published_differences(lesions, CsvSplit.all)
    assert (train.lesion, train.kind) == ("train", DefectKind.COUNT_DIFFERS)
    assert train.detail.startswith("4 rows (published: 1546), 2 images (published: 1227)")
    assert test.lesion == "test"
    assert "none of the 326 published lesions" in test.detail
    assert [each.lesion for each in published_differences(lesions, CsvSplit.train)] == ["train"]


@pytest.mark.shared
def test_the_published_csvs_have_the_published_counts(shared_data: Path) -> None:
    lesions = read_index(shared_data / "cbis-ddsm" / "nbia", shared_data / "cbis-ddsm" / "csv")
    assert published_differences(lesions.lesions, CsvSplit.all) == []
