"""The four case CSVs together: what is read, and how a missing or foreign one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcalc.data.records import Pathology, Side, Split, View
from mcalc.data.sources.cbis_ddsm import Case, Kind, count_differences, read_all_cases
from mcalc.errors import UserError

FILES = {
    (kind, split): f"{short}_case_description_{split}_set.csv"
    for kind, short in ((Kind.CALCIFICATION, "calc"), (Kind.MASS, "mass"))
    for split in Split
}


@pytest.fixture
def folder(tmp_path: Path, case_csv: Callable[..., Any]) -> Path:
    """The four files, a row each but for one of two; masses have a column spelt otherwise."""
    for (kind, split), name in FILES.items():
        cases = case_csv(f"{kind[:4].capitalize()}-{split}")
        cases.add("P_00001", abnormality_type=kind, pathology="BENIGN WITHOUT CALLBACK")
        if (kind, split) == (Kind.MASS, Split.TEST):
            cases.add("P_00002", side="LEFT", view="MLO", abnormality_type=kind)
        text = cases.text()
        if kind is Kind.MASS:
            text = text.replace("breast density", "breast_density")
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_row_of_all_four(folder: Path) -> None:
    cases = read_all_cases([folder])
    assert len(cases) == 5
    assert {(case.kind, case.split) for case in cases} == set(FILES)
    assert cases[-1] == Case(
        Kind.MASS, Split.TEST, "P_00002", Side.LEFT, View.MLO, Pathology.MALIGNANT,
        "Mass-test_P_00002_LEFT_MLO",
    )  # fmt: skip
    assert cases[0].pathology is Pathology.BENIGN_WITHOUT_CALLBACK
    assert not cases[0].malignant
    assert cases[-1].malignant


def test_names_in_another_case_and_a_second_folder(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "csv"
    other.mkdir()
    for name in FILES.values():
        (folder / name).rename(other / name.upper())
    assert len(read_all_cases([folder, other])) == 5


def test_rows_that_are_not_as_many_as_published(folder: Path) -> None:
    said = count_differences(read_all_cases([folder]))
    assert len(said) == 4
    assert said[0] == ("calc_case_description_train_set.csv has 1 rows, where 1546 are published")


@pytest.mark.parametrize("gone", [["calc", "train"], ["mass", "test"]])
def test_a_missing_file_is_named(folder: Path, gone: list[str]) -> None:
    name = f"{gone[0]}_case_description_{gone[1]}_set.csv"
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"^{name} not found in .*official names.*csv_dir=PATH$"):
        read_all_cases([folder])


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere is no folder: .*data\.csv_dir=PATH"):
        read_all_cases([tmp_path / "nowhere", tmp_path / "nowhere" / "csv"])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("patient_id", "person", r"lacks the column\(s\) 'patient_id'"),
        (",mass,", ",calcification,", "row 2: abnormality type is 'calcification', expected mass"),
        ("MLO", "ML", "row 3: image view is 'ML', expected CC or MLO"),
        ("MALIGNANT", "CANCER", "row 3: pathology is 'CANCER', expected BENIGN or"),
        ("P_00002,", ",", "row 3: patient_id is '', expected a value"),
    ],
)
def test_a_foreign_file_is_named_with_its_row(
    folder: Path, before: str, after: str, said: str
) -> None:
    path = folder / FILES[Kind.MASS, Split.TEST]
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(UserError, match=said) as error:
        read_all_cases([folder])
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)


def test_a_header_alone(folder: Path) -> None:
    path = folder / FILES[Kind.CALCIFICATION, Split.TEST]
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="has a header but no rows"):
        read_all_cases([folder])
