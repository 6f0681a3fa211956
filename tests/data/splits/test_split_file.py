"""A split on its way to another user: out as CSV, in as CSV, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_lesion

from mcalc.config import Config, DataConfig, ProtocolConfig, ProtocolName
from mcalc.data.pipeline import export_split, split_samples
from mcalc.data.splits.protocols import split
from mcalc.data.splits.samples import Sample, make_samples
from mcalc.data.splits.split_file import read_split, write_split
from mcalc.errors import UserError

PATIENT = ProtocolConfig(ProtocolName.patient)


def samples(patients: int = 40) -> tuple[Sample, ...]:
    lesions = [
        make_lesion(patient, number=number, malignant=patient % 3 == 0)
        for patient in range(patients)
        for number in (1, 2)
    ]
    return make_samples(lesions, range(len(lesions)), DataConfig()).samples


def read(path: Path, own: tuple[Sample, ...], completeness: float = 1.0):  # type: ignore[no-untyped-def]
    return read_split(path, own, ProtocolName.patient, 0, completeness)


@pytest.mark.parametrize("validation", [None, 0.2])
def test_a_split_comes_back_as_it_went(tmp_path: Path, validation: float | None) -> None:
    own = samples()
    parts = split(own, replace(PATIENT, validation=validation), 3)
    write_split(tmp_path / "deep" / "split.csv", own, parts)
    again, missing = read_split(tmp_path / "deep" / "split.csv", own, ProtocolName.patient, 3)
    assert again == parts
    assert missing == 0
    # and onto other rows' order, with the same lesions on each side
    backwards = own[::-1]
    turned, _ = read_split(tmp_path / "deep" / "split.csv", backwards, ProtocolName.patient, 3)
    assert turned.fingerprint == parts.fingerprint
    assert {backwards[i].id for i in turned.train} == {own[i].id for i in parts.train}


def test_the_file_is_a_plain_table_sorted_by_sample(tmp_path: Path) -> None:
    own = samples()
    parts = split(own, replace(PATIENT, validation=0.2), 0)
    write_split(tmp_path / "split.csv", own, parts)
    assert (tmp_path / "split.csv").read_bytes().startswith(b"sample,patient,label,side\n")
    with (tmp_path / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == sorted(sample.id for sample in own)
    assert {row["label"] for row in rows} == {"benign", "malignant"}
    sides = {own[i].id: "reported" for i in parts.reported}
    assert {row["sample"] for row in rows if row["side"] == "reported"} == set(sides)
    assert sum(row["side"] == "validation" for row in rows) == len(parts.validation)
    assert list(tmp_path.iterdir()) == [tmp_path / "split.csv"], "no draft is left"


def test_the_protocols_file_is_taken_in_place_of_the_protocol(tmp_path: Path) -> None:
    own = samples()
    other = split(own, replace(PATIENT, held_out=0.5), 9)
    write_split(tmp_path / "split.csv", own, other)
    config = Config(protocol=replace(PATIENT, split_file=str(tmp_path / "split.csv")))
    done = split_samples(own, config)
    assert done.split.fingerprint == other.fingerprint
    assert done.split.train == other.train
    # as patient without validation: what is reported stops training too, and that is said
    assert any("also stopped training" in note for note in done.warnings)


def test_a_split_of_copies_comes_back(tmp_path: Path) -> None:
    config = Config(protocol=ProtocolConfig(ProtocolName.paper_augment_first))
    done = split_samples(samples(), config)
    write_split(tmp_path / "split.csv", done.samples, done.split)
    file = replace(config.protocol, split_file=str(tmp_path / "split.csv"))
    again = split_samples(samples(), replace(config, protocol=file))
    assert again.split == done.split
    assert again.samples == done.samples


def test_patients_both_trained_on_and_reported_are_counted(tmp_path: Path) -> None:
    own = samples()
    parts = split(own, PATIENT, 0)
    write_split(tmp_path / "split.csv", own, parts)
    moved = own[parts.reported[0]]
    text = (tmp_path / "split.csv").read_text()
    text = text.replace(
        f"{moved.id},{moved.patient},{'benign' if not moved.label else 'malignant'},reported",
        f"{moved.id},{moved.patient},{'benign' if not moved.label else 'malignant'},train",
    )
    (tmp_path / "split.csv").write_text(text)
    leaky, _ = read(tmp_path / "split.csv", own)
    assert leaky.shared_patients == 1
    assert leaky.leak == "patients on both sides: 1"


def edited(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return apply


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (edited(lambda rows: rows[:-1]), r"no row for 1 of 80 samples.*P_00039_LEFT_CC_2"),
        (
            edited(lambda rows: [*rows, "X_1,P_9,benign,train"]),
            r"names 1 samples of 81 that are not in this data \(the first: X_1\)",
        ),
        (
            edited(lambda rows: [rows[0], rows[1].replace("malignant", "benign"), *rows[2:]]),
            r"row 2: label of .* is 'benign', but 'malignant'",
        ),
        (
            edited(lambda rows: [rows[0], rows[1].replace(",P_00000", ",P_00007"), *rows[2:]]),
            r"row 2: patient of .* is 'P_00007', but 'P_00000'",
        ),
        (
            edited(lambda rows: [rows[0], rows[1].rsplit(",", 1)[0] + ",test", *rows[2:]]),
            r"row 2: side is 'test': expected one of train, validation, reported",
        ),
        (edited(lambda rows: [*rows, rows[3]]), r"row 82 \(.*\): .* is in row 4 already"),
        (
            edited(lambda rows: [*rows, rows[1].rsplit(",", 1)[0] + ",validation"]),
            r"row 82 \(validation\): \S+ is in row 2 already \((train|reported)\)",
        ),
        (edited(lambda rows: [*rows, ",P_1,benign,train"]), "row 82: no sample"),
        (
            edited(lambda rows: [f"{rows[0]},Side", *(f"{row},x" for row in rows[1:])]),
            r"the column 'side' 2 times \(columns 4, 5\)",
        ),
        (edited(lambda rows: [row.replace(",", "\t") for row in rows]), "is separated by tabs"),
        (edited(lambda rows: ["sample,p" + "A" * 140_000, *rows]), "field larger than field limit"),
        (
            edited(lambda rows: ["id,side", *rows[1:]]),
            r"lacks the column\(s\) 'sample', 'patient', 'label'",
        ),
        (edited(lambda rows: rows[:1]), "has no rows"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8 text.*split_to=PATH"),
        (lambda path: path.unlink(), "cannot be read"),
        (
            edited(lambda rows: [row.replace("reported", "train") for row in rows]),
            "reported part has 0 benign and 0 malignant",
        ),
    ],
)
def test_a_file_that_is_not_of_this_data_is_refused_with_the_place(
    tmp_path: Path, change: Callable[[Path], None], complaint: str
) -> None:
    own = samples()
    path = tmp_path / "split.csv"
    write_split(path, own, split(own, PATIENT, 0))
    change(path)
    with pytest.raises(UserError, match=complaint):
        read(path, own)


def test_a_spreadsheets_marks_and_further_columns_do_no_harm(tmp_path: Path) -> None:
    own = samples()
    path = tmp_path / "split.csv"
    parts = split(own, PATIENT, 0)
    write_split(path, own, parts)
    rows = [f"{row},x" for row in path.read_text().splitlines()]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    assert read(path, own)[0] == parts


def test_samples_that_are_missing_are_allowed_by_name_and_counted(tmp_path: Path) -> None:
    whole = samples()
    path = tmp_path / "split.csv"
    write_split(path, whole, split(whole, PATIENT, 0))
    part = tuple(sample for sample in whole if sample.patient != "P_00005")
    with pytest.raises(UserError, match=r"names 2 samples of 80.*data.min_completeness"):
        read(path, part)
    _, missing = read(path, part, 0.97)
    assert missing == 2
    config = Config(
        data=replace(DataConfig(), min_completeness=0.9),
        protocol=replace(PATIENT, validation=0.2, split_file=str(path)),
    )
    assert (
        "2 samples of the split file are not in this data"
        in split_samples(part, config).warnings[0]
    )


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    own = samples()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written.*writable"):
        write_split(tmp_path / "file" / "split.csv", own, split(own, PATIENT, 0))


def test_export_writes_the_split_of_a_data_set_and_says_what_it_is(tmp_path: Path) -> None:
    data = replace(DataConfig(), cache=str(tmp_path / "cache"))
    data = replace(data, phantom=replace(data.phantom, lesions=40))
    config = Config(seed=4, data=data, protocol=PATIENT)
    line = export_split(config, tmp_path / "split.csv")
    with (tmp_path / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert "protocol patient" in line
    assert "leak: none" in line
    file_config = replace(config, protocol=replace(PATIENT, split_file=str(tmp_path / "split.csv")))
    again = export_split(file_config, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "split.csv").read_bytes()
    assert line.split("fingerprint ")[1] == again.split("fingerprint ")[1]


@pytest.mark.shared
def test_the_official_split_of_the_real_csvs_needs_its_test_images(
    shared_data: Path, tmp_path: Path
) -> None:
    root = shared_data / "cbis-ddsm"
    data = DataConfig(source="cbis_ddsm", root=str(root / "kaggle"), csv_dir=str(root / "csv"))
    official = ProtocolConfig(ProtocolName.official, validation=0.15)
    # the test split's crops are not there
    with pytest.raises(UserError, match="needs the images of the official test split"):
        export_split(Config(data=data, protocol=official), tmp_path / "split.csv")
    line = export_split(
        Config(data=data, protocol=replace(PATIENT, validation=0.15)), tmp_path / "split.csv"
    )
    # 30 % of 1002 and of 544 is 300.6 and 163.2
    assert "464 reported" in line
    assert "leak: none" in line
