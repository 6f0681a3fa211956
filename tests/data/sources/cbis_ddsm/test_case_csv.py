from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcalc.config import CsvSplit
from mcalc.data.records import DefectKind, Pathology, Side, Split, View
from mcalc.data.sources.cbis_ddsm.case_csv import (
    CALC_DISTRIBUTIONS,
    CALC_TYPES,
    CSV_NAMES,
    find_csvs,
    read_cases,
    read_patients,
)
from mcalc.errors import UserError

TRAIN = "calc_case_description_train_set.csv"
TEST = "calc_case_description_test_set.csv"

CaseCsv = Callable[..., Any]


def test_a_row_becomes_a_typed_lesion(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv()
    cases.add(
        "P_00041", "LEFT", "MLO", 2, breast_density="1", calc_type="ROUND_AND_REGULAR-EGGSHELL",
        calc_distribution="N/A", assessment="2", pathology="BENIGN_WITHOUT_CALLBACK", subtlety="5",
    )  # fmt: skip
    (row,), defects = read_cases(cases.write(tmp_path / "c.csv"), Split.TRAIN)
    assert defects == []
    assert row.id == "Calc-Training_P_00041_LEFT_MLO_2"
    assert row.image == "Calc-Training_P_00041_LEFT_MLO"
    assert (row.side, row.view, row.abnormality) == (Side.LEFT, View.MLO, 2)
    assert (row.density, row.assessment, row.subtlety) == (1, 2, 5)
    assert row.calc_types == {"ROUND_AND_REGULAR", "EGGSHELL"}
    assert row.calc_distributions == frozenset()
    assert row.pathology is Pathology.BENIGN_WITHOUT_CALLBACK
    # the newline that the published file has inside the quotes is gone
    assert row.crop_path == cases.rows[0]["cropped image file path"]


def test_the_test_split_names_its_lesions_after_itself(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv("Calc-Test")
    cases.add()
    (row,), _ = read_cases(cases.write(tmp_path / "c.csv"), Split.TEST)
    assert (row.id, row.split) == ("Calc-Test_P_00005_RIGHT_CC_1", Split.TEST)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("density", ["breast density", "breast_density", "Breast  Density "])
def test_line_ends_byte_order_mark_and_column_spelling_do_not_matter(
    tmp_path: Path, case_csv: CaseCsv, end: str, mark: str, density: str
) -> None:
    cases = case_csv()
    for number in (1, 2, 3):
        cases.add(number=number)
    text = mark + cases.text(end).replace("breast density", density)
    (tmp_path / "c.csv").write_text(text, encoding="utf-8", newline="")
    rows, defects = read_cases(tmp_path / "c.csv", Split.TRAIN)
    assert [row.abnormality for row in rows] == [1, 2, 3]
    assert [row.density for row in rows] == [3, 3, 3]
    assert defects == []


texts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=20
).filter(lambda text: text.strip() and text.strip().casefold() not in ("na", "n/a"))


@given(
    paths=st.lists(texts, min_size=1, max_size=4),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_inside_quotes_is_read_back(
    tmp_path: Path, case_csv: CaseCsv, paths: list[str], quoting: Any, end: str
) -> None:
    cases = case_csv()
    for number, path in enumerate(paths, start=1):
        cases.add(number=number, cropped_image_file_path=path)
    with (tmp_path / "c.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, cases.rows[0], quoting=quoting, lineterminator=end)
        writer.writeheader()
        writer.writerows(cases.rows)
    rows, defects = read_cases(tmp_path / "c.csv", Split.TRAIN)
    assert [row.crop_path for row in rows] == [path.strip() for path in paths]
    assert defects == []


def test_density_zero_and_absent_descriptors_are_unknown(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv()
    cases.add(number=1, breast_density="0", calc_type="NA")
    cases.add(number=2, breast_density="", calc_type="")
    cases.add(number=3, breast_density="2.0")
    rows, defects = read_cases(cases.write(tmp_path / "c.csv"), Split.TRAIN)
    assert [row.density for row in rows] == [None, None, 2]
    assert [row.calc_types for row in rows] == [set(), set(), {"PLEOMORPHIC"}]
    assert defects == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pathology", "UNPROVEN"),
        ("left_or_right_breast", "BOTH"),
        ("image_view", "XCCL"),
        ("abnormality_id", "0"),
        ("abnormality_id", "1.5"),
        ("assessment", "6"),
        ("subtlety", ""),
        ("patient_id", "../P_1"),
        ("patient_id", ".."),
        ("patient_id", "."),
        ("patient_id", "P_1/.."),
        ("abnormality_type", "mass"),
    ],
)
def test_a_value_not_understood_leaves_the_lesion_out_and_says_so(
    tmp_path: Path, case_csv: CaseCsv, column: str, value: str
) -> None:
    cases = case_csv()
    cases.add(number=1)
    cases.add(number=2)[column.replace("_", " ") if column != "patient_id" else column] = value
    rows, (defect,) = read_cases(cases.write(tmp_path / "c.csv"), Split.TRAIN)
    assert [row.abnormality for row in rows] == [1]
    assert defect.kind is DefectKind.BAD_VALUE
    assert defect.lesion == "c.csv row 2"
    assert repr(value) in defect.detail
    assert "expected" in defect.detail


def test_an_odd_density_costs_no_lesion(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv()
    cases.add(breast_density="7")
    (row,), (defect,) = read_cases(cases.write(tmp_path / "c.csv"), Split.TRAIN)
    assert row.density is None
    assert (defect.kind, defect.lesion) == (DefectKind.BAD_VALUE, row.id)
    assert "'7'" in defect.detail


def test_rows_too_short_or_too_long_are_not_misread(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv()
    cases.add()
    text = cases.text() + "P_00006,3,LEFT\n" + ",".join(["x"] * 15) + "\n\n,,,\n"
    (tmp_path / "c.csv").write_text(text, newline="")
    rows, defects = read_cases(tmp_path / "c.csv", Split.TRAIN)
    assert len(rows) == 1
    assert [defect.detail for defect in defects] == [
        "row has 3 of 14 fields",
        "row has 15 of 14 fields",
    ]


def test_a_lesion_listed_twice_is_kept_once(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv()
    first = cases.add(pathology="BENIGN")
    cases.rows.append(dict(first))
    cases.rows.append({**first, "pathology": "MALIGNANT"})
    (row,), defects = read_cases(cases.write(tmp_path / "c.csv"), Split.TRAIN)
    assert row.pathology is Pathology.BENIGN
    assert [defect.kind for defect in defects] == [DefectKind.DUPLICATE_ROW] * 2
    assert "says the same" in defects[0].detail
    assert "differs in pathology" in defects[1].detail


def test_lacking_columns_are_named_with_the_nearest_there(
    tmp_path: Path, case_csv: CaseCsv
) -> None:
    cases = case_csv()
    cases.add()
    text = cases.text().replace("pathology", "patology", 1).replace("subtlety", "level", 1)
    (tmp_path / "c.csv").write_text(text, newline="")
    with pytest.raises(UserError, match=r"c\.csv lacks the column") as caught:
        read_cases(tmp_path / "c.csv", Split.TRAIN)
    assert "'pathology' (nearest there: 'patology'), 'subtlety':" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.split("\n", 1)[0] + "\n", "has a header but no rows"),
        (lambda text: "", "lacks the column"),
        (lambda text: text[: text.rindex('"')], "not a CSV file"),
        (lambda text: text.replace("MALIGNANT", "?"), r"none of the 1 rows.*pathology '\?'"),
    ],
)
def test_an_unusable_csv_is_one_sentence(
    tmp_path: Path, case_csv: CaseCsv, change: Callable[[str], str], says: str
) -> None:
    cases = case_csv()
    cases.add()
    (tmp_path / "c.csv").write_text(change(cases.text()), newline="")
    with pytest.raises(UserError, match=says) as caught:
        read_cases(tmp_path / "c.csv", Split.TRAIN)
    assert str(tmp_path / "c.csv") in str(caught.value)


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path, case_csv: CaseCsv) -> None:
    cases = case_csv()
    cases.add()
    (tmp_path / "c.csv").write_bytes(cases.text().encode("utf-16"))
    with pytest.raises(UserError, match=r"c\.csv is not UTF-8 text"):
        read_cases(tmp_path / "c.csv", Split.TRAIN)


def test_csvs_are_found_in_the_root_its_csv_folder_or_where_named(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "else").mkdir()
    for place in (TRAIN, f"csv/{TEST}", f"else/{TRAIN}", "mass_case_description_train_set.csv"):
        (tmp_path / place).touch()
    both = find_csvs(tmp_path, None, CsvSplit.all)
    assert both == {Split.TRAIN: tmp_path / TRAIN, Split.TEST: tmp_path / "csv" / TEST}
    assert set(find_csvs(tmp_path, None, CsvSplit.test)) == {Split.TEST}
    named = find_csvs(tmp_path, tmp_path / "else", CsvSplit.all)
    assert named == {Split.TRAIN: tmp_path / "else" / TRAIN}


def test_no_csv_says_which_names_were_looked_for_where(tmp_path: Path) -> None:
    (tmp_path / TRAIN).touch()
    with pytest.raises(UserError) as caught:
        find_csvs(tmp_path, None, CsvSplit.test)
    assert f"looked for {TEST} in {tmp_path} and {tmp_path / 'csv'};" in str(caught.value)
    assert "data.csv_dir=PATH" in str(caught.value)
    assert TRAIN not in str(caught.value)


def test_descriptors_are_a_set_of_known_words_without_synonyms(
    tmp_path: Path, case_csv: CaseCsv
) -> None:
    cases = case_csv()
    cases.add(number=1, calc_type="lucent centered-PLEOMORPHIC", calc_distribution="Clustered-N/A")
    cases.add(number=2, calc_type="PLEOMORPHIC-LUCENT_CENTER-PLEOMORPHIC")
    cases.add(number=3, calc_type="PLEOMORPHC")
    rows, (defect,) = read_cases(cases.write(tmp_path / "c.csv"), Split.TRAIN)
    assert rows[0].calc_types == rows[1].calc_types == {"LUCENT_CENTER", "PLEOMORPHIC"}
    assert rows[0].calc_distributions == {"CLUSTERED"}
    # an unknown word stays, and is reported with the nearest known one
    assert rows[2].calc_types == {"PLEOMORPHC"}
    assert (defect.lesion, defect.kind) == (rows[2].id, DefectKind.BAD_VALUE)
    assert "row 3: calc type 'PLEOMORPHC'" in defect.detail
    assert "nearest: PLEOMORPHIC" in defect.detail
    assert defect.action == "kept as it is"


def test_a_csv_that_a_spreadsheet_saved_with_semicolons_says_the_same(
    tmp_path: Path, case_csv: CaseCsv
) -> None:
    cases = case_csv()
    cases.add(), cases.add(number=2)
    with_commas = cases.write(tmp_path / "commas.csv")
    (tmp_path / "c.csv").write_text(cases.text().replace(",", ";"), newline="")
    assert read_cases(tmp_path / "c.csv", Split.TRAIN) == read_cases(with_commas, Split.TRAIN)


def test_patients_of_a_mass_csv_are_read_whatever_its_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text('\ufeffPatient ID,mass shape\nP_1,"a\nb"\nP_2,\n\nP_1,x\n', encoding="utf-8")
    assert read_patients(path) == {"P_1", "P_2"}
    path.write_text("patient\nP_1\n")
    with pytest.raises(UserError, match=r"lacks the column\(s\) 'patient_id'"):
        read_patients(path)


@pytest.mark.shared
def test_every_published_descriptor_is_known(shared_data: Path) -> None:
    rows = []
    for split, name in CSV_NAMES.items():
        found, defects = read_cases(shared_data / "cbis-ddsm" / "csv" / name, split)
        assert defects == []
        rows.extend(found)
    assert {word for row in rows for word in row.calc_types} == CALC_TYPES
    assert {word for row in rows for word in row.calc_distributions} == CALC_DISTRIBUTIONS
    # counted in the files with grep: 44 rows spell it CENTERED, 196 CENTER, none both
    assert sum("LUCENT_CENTER" in row.calc_types for row in rows) == 240


@pytest.mark.shared
@pytest.mark.parametrize(
    ("split", "name", "patients", "images", "labels"),
    [
        (Split.TRAIN, TRAIN, 602, 1227, (528, 474, 544)),
        (Split.TEST, TEST, 151, 284, (130, 67, 129)),
    ],
)
def test_the_official_csvs_have_the_published_counts(
    shared_data: Path, split: Split, name: str, patients: int, images: int,
    labels: tuple[int, int, int],
) -> None:  # fmt: skip
    rows, defects = read_cases(shared_data / "cbis-ddsm" / "csv" / name, split)
    assert defects == []
    assert len({row.patient for row in rows}) == patients
    assert len({row.image for row in rows}) == images
    counts = Counter(row.pathology for row in rows)
    assert tuple(counts[pathology] for pathology in Pathology) == labels
