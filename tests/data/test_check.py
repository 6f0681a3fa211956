from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mcalc.data.__main__ import main
from mcalc.data.cbis_ddsm import read_index
from mcalc.data.check import PUBLISHED, Counts, count, print_check
from mcalc.data.records import Index

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


def _printed(index: Index, **options: Any) -> str:
    out = io.StringIO()
    print_check(index, Console(file=out, width=200), Path("ledger.csv"), **options)
    return out.getvalue()


def test_lesions_images_patients_and_labels_are_counted(download: Path) -> None:
    assert count(read_index(download).lesions) == Counts(4, 2, 2, 1, 2, 1)


def test_published_counts_add_up_to_those_of_the_data_set() -> None:
    for counts in PUBLISHED.values():
        assert counts.benign + counts.benign_without_callback + counts.malignant == counts.rows
    # Lee et al. 2017: 753 calcification cases
    assert sum(counts.patients for counts in PUBLISHED.values()) == 753
    assert sum(counts.rows for counts in PUBLISHED.values()) == 1872


def test_the_check_sets_what_is_found_beside_what_is_published(download: Path) -> None:
    text = _printed(read_index(download))
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
    line = next(line for line in _printed(read_index(download)).splitlines() if " test " in line)
    assert "not read" in line
    assert "(326)" not in line


def test_synthetic_data_has_no_published_counts_beside_it(download: Path) -> None:
    assert "1546" not in _printed(read_index(download), published=False)


def test_the_command_checks_a_download(
    download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data=cbis_ddsm", f"data.root={download}", f"data.cache={tmp_path / 'cache'}"]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert "legacy layout" in out
    assert err.startswith("error: 1 of 4 lesions listed have no readable crop")
    assert "data.min_completeness=0.75" in err
    main([*arguments, "data.min_completeness=0.75"])
    assert capsys.readouterr().err == ""
    with (tmp_path / "cache" / "ledger.csv").open(newline="") as file:
        kinds = [row["kind"] for row in csv.DictReader(file)]
    assert "crop missing" in kinds
    assert not (download / "ledger.csv").exists()


def test_the_command_checks_a_phantom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data=phantom", "data.phantom.lesions=12", f"data.cache={tmp_path}"])
    out = capsys.readouterr().out
    assert "crops on disk: for 12 of 12 lesions" in out
    assert "1546" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data=cbis_ddsm"], "data.root=PATH"),
        (["data=cbis_ddsm", "data.root=/nowhere"], "data.root=/nowhere does not exist"),
        (["data.rot=x"], "did you mean 'data.root'?"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert "python -m mcalc.data data=cbis_ddsm data.root=PATH" in capsys.readouterr().out
