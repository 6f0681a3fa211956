"""`python -m mcalc.data check_split=FILE`: files as they are met in the wild, to the verdict."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mcalc.data.__main__ import main

CLEAN = """image,label,split
Calc-Training_P_00001_LEFT_CC_1,BENIGN,train
Calc-Training_P_00001_LEFT_MLO_1,BENIGN,train
Calc-Training_P_00002_RIGHT_CC_1,MALIGNANT,val
Calc-Training_P_00003_RIGHT_CC_1,MALIGNANT,test
"""

Checked = Callable[..., tuple[int, str]]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Checked:
    """Writes text (or bytes) as a file and checks it; gives the exit status and what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(content: str | bytes, *arguments: str) -> tuple[int, str]:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "split.csv").write_bytes(data)
        return call("check_split=split.csv", *arguments)

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as left:
            status = int(str(left.code))
        out, err = capsys.readouterr()
        assert err.count("\n") <= 1
        assert (status == 2) == err.startswith("error: ")
        return status, out + err

    run.call = call  # type: ignore[attr-defined]
    return run


def rows_of(printed: str, title: str) -> dict[str, tuple[str, str]]:
    """A printed table: number and held-out rows by what is on both sides."""
    assert title in printed, printed
    found = {}
    for line in printed.split(title, 1)[1].splitlines():
        cells = [cell.strip() for cell in line.split("│")]
        if len(cells) > 4 and cells[1]:
            found[cells[1]] = (cells[2], cells[3])
        if line.startswith("└"):
            break
    return found


def test_a_clean_split(check: Checked) -> None:
    status, said = check(CLEAN)
    assert status == 0
    assert "images: column 'image' (names of CBIS-DDSM images)" in said
    assert "labels: column 'label'" in said
    assert "parts: column 'split'" in said
    assert "Clean: no patient or image stands in two parts." in said
    assert "Identical pixels were not looked for" in said
    for pair in ("train / validation", "train / test", "validation / test"):
        assert f"{pair}: nothing on both sides" in said


def test_a_leak_in_every_pair(check: Checked) -> None:
    more = (
        "Calc-Training_P_00001_LEFT_CC_2,BENIGN,val\n"
        "Mass-Test_P_00001_RIGHT_CC_1,BENIGN,test\n"
        "Calc-Training_P_00002_RIGHT_MLO_1,MALIGNANT,test\n"
    )
    status, said = check(CLEAN + more)
    assert status == 1
    assert "LEAKAGE between train / validation, train / test, validation / test." in said
    first = rows_of(said, "train / validation: on both sides")
    assert first["same mammogram"] == ("1", "1 of 2")
    assert first["same finding"] == ("0", "0 of 2")
    assert first["same patient"] == ("1", "1 of 2")
    # Mass-Test_P_00001 and Calc-Training_P_00001 are one person
    second = rows_of(said, "train / test: on both sides")
    assert second["same patient"] == ("1", "1 of 3")
    assert second["same breast"] == ("0", "0 of 3")
    third = rows_of(said, "validation / test: on both sides")
    assert third["finding in other view"] == ("1", "1 of 3")
    assert third["same patient"] == ("2", "2 of 3")


WILD = {
    "byte order mark": b"\xef\xbb\xbf" + CLEAN.encode(),
    "semicolons": CLEAN.replace(",", ";"),
    "tabs": CLEAN.replace(",", "\t"),
    "Windows' line ends": CLEAN.replace("\n", "\r\n"),
    "mixed case": CLEAN.upper().replace("CALC-TRAINING", "cAlC-tRaining"),
    "words": CLEAN.replace("train", "Training").replace(",val", ",Validation_Set"),
    "file names": re.sub(r"Calc-Training_(\S+?),", r"\1.png,", CLEAN),
    "backslashes": re.sub(r"(Calc\S+?),", r"C:\\cbis\\\1\\1-1.dcm,", CLEAN),
    "newlines in quotes": re.sub(r"(Calc\S+?),", '"\\1/1.2/3.4/000001.dcm\n",', CLEAN),
    "another order": "\n".join(",".join(reversed(line.split(","))) for line in CLEAN.splitlines()),
    "blank rows": CLEAN.replace("\n", "\n\n") + ",,\n",
}


@pytest.mark.parametrize("kind", WILD)
def test_files_in_the_wild(kind: str, check: Checked) -> None:
    content = WILD[kind]
    status, said = check(content)
    assert (status, "Clean" in said) == (0, True), said
    assert re.search(r"│ train +│ +2 │ +2 │ +1 │", said)
    # and each lights up where a patient crosses
    data = content.encode() if isinstance(content, str) else content
    status, said = check(data.replace(b"00003", b"00001"))
    assert status == 1, said
    assert rows_of(said, "train / test: on both sides")["same patient"] == ("1", "1 of 1")


def test_one_image_in_two_parts_is_the_first_row(check: Checked) -> None:
    status, said = check(CLEAN + "Calc-Training_P_00001_LEFT_CC_1,BENIGN,test\n")
    assert status == 1
    found = rows_of(said, "train / test: on both sides")
    assert next(iter(found)) == "same image"
    assert found["same image"] == ("1", "1 of 2")
    assert "P_00001_LEFT_CC_1" in said


def test_repeated_rows_and_labels_that_differ(check: Checked) -> None:
    more = (
        "Calc-Training_P_00001_LEFT_CC_1,benign,train\n"
        "Calc-Training_P_00001_LEFT_MLO_1,MALIGNANT,train\n"
    )
    status, said = check(CLEAN + more)
    assert status == 0
    assert "2 rows repeat an image of their own part" in said
    # BENIGN and benign are one label
    assert "1 image has rows of different labels: calc_P_00001_LEFT_MLO_1" in said


def test_class_shares(check: Checked) -> None:
    said = check(CLEAN.replace("LEFT_CC_1,BENIGN", "LEFT_CC_1,MALIGNANT"))[1]
    line = next(line for line in said.splitlines() if line.startswith("│ train"))
    assert "benign 1 (50.0%)" in line
    assert "malignant 1 (50.0%)" in line


def test_rows_without_a_readable_patient_are_said_and_never_clean(check: Checked) -> None:
    more = "scan 17.png,BENIGN,test\n"
    status, said = check(CLEAN + more)
    assert status == 2
    assert "the patient of 1 row cannot be read: row 6 ('scan 17.png')" in said
    assert "error: nothing was found on both sides, but the patient of 1 of 5 rows" in said
    assert re.search(r"│ test +│ +2 │", said)
    # leakage elsewhere is leakage
    status, said = check(CLEAN.replace("00003", "00001") + more)
    assert status == 1
    assert "known of 1 of 2 rows of test: " in said
    # the same unreadable image in two parts is leakage as well
    status, said = check(CLEAN + more + "scan 17.png,BENIGN,train\n")
    assert status == 1
    assert rows_of(said, "train / test: on both sides")["same image"] == ("1", "1 of 2")


def test_rows_that_contradict_themselves(check: Checked) -> None:
    head, *lines = CLEAN.splitlines()
    text = "\n".join([f"{head},patient_id", *(f"{line},P_0000{i}" for i, line in
                                             zip((1, 1, 2, 9), lines, strict=True))])  # fmt: skip
    status, said = check(text)
    assert status == 2
    assert (
        "1 row contradicts itself, the first in row 5: its image names patient P_00003, a column "
        "P_00009"
    ) in said
    assert "not known for certain (the first: row 5)" in said


def test_rows_of_no_part_are_said(check: Checked) -> None:
    status, said = check(CLEAN + "Calc-Training_P_00001_LEFT_CC_1,BENIGN,\n")
    assert status == 0
    assert "1 row of no part, not compared: row 6" in said


def test_a_kind_that_some_rows_do_not_say_hides_no_leak(check: Checked) -> None:
    status, said = check(CLEAN + "P_00001_LEFT_CC_1.png,BENIGN,test\n")
    assert status == 1
    assert rows_of(said, "train / test: on both sides")["same image"] == ("1", "1 of 2")


OTHER = """file,person,group
a.png,ann,train
b.png,ann,train
c.png,bob,holdout
"""


def test_a_table_of_other_images(check: Checked) -> None:
    status, said = check(OTHER, "patient=person", "id=file")
    assert status == 0
    assert "patients: column 'person'" in said
    status, said = check(OTHER.replace("bob", " Ann "), "patient=person")
    assert status == 1
    found = rows_of(said, "train / test: on both sides")
    assert found["same patient"] == ("1", "1 of 1")
    assert found["same breast"] == ("not known", "")


def test_patients_of_another_data_set_are_taken_as_they_are_written(check: Checked) -> None:
    text = OTHER.replace("ann", "P-1000-A").replace("bob", "P-1000-B")
    assert check(text, "patient=person")[0] == 0
    assert check(text.replace("P-1000-B", "p-1000-a"), "patient=person")[0] == 1


def test_folders_that_name_a_patient_alone(check: Checked) -> None:
    text = "path,set\nP_00001/1.png,train\nP_00001/2.png,train\nP_00002/1.png,dev\n"
    for arguments in ([], ["patient=path"]):
        assert check(text, *arguments)[0] == 0
        status, said = check(text.replace("00002", "00001"), *arguments)
        assert status == 1
        found = rows_of(said, "train / validation: on both sides")
        assert found["same patient"] == ("1", "1 of 1")
        assert found["same breast"] == ("not known", "")


def test_patients_that_may_be_one(check: Checked) -> None:
    status, said = check(OTHER.replace("ann", "A-01").replace("bob", "a1"), "patient=person")
    assert status == 0
    assert "differ only in how they are written; if they are one person, this leaks too" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["patient=persn"], "patient=persn is not a column of it; did you mean 'person'?"),
        (["patient=persn"], "(its columns: 'file', 'person', 'group')"),
        ([], "no column names patients, and none has names of CBIS-DDSM images"),
        (["patient=person", "split=file"], "'a.png' may be any part"),
        (["patient=person", "label=nothing"], "label=nothing is not a column"),
        (["patient=person", "parts=x:train"], "parts= names 'x', which column 'group'"),
    ],
)
def test_columns_that_are_not_known(arguments: list[str], said: str, check: Checked) -> None:
    status, printed = check(OTHER, *arguments)
    assert status == 2
    assert said in printed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,split\n", "has a header but no rows"),
        ("", "has nothing in its first row"),
        ("image,label\nP_00001_LEFT_CC_1,x\n", "no column says which part of a split"),
        (
            "image,split\nP_00001_LEFT_CC_1,train\n",
            "all rows are in one part, train: expected two or more",
        ),
        (CLEAN + "P_00001_LEFT_CC_1\n", "row 6 has 1 of 3 fields"),
        (
            "image,copy,split\nP_00001_LEFT_CC_1,P_00002_LEFT_CC_1,train\n",
            "id may be 'image' or 'copy', which differ in row 2: name the column with id=COL",
        ),
        (
            "image,split,part\nP_00001_LEFT_CC_1,train,test\n",
            "split may be 'split' or 'part', which differ in row 2",
        ),
        (
            "image,split,split\nP_00001_LEFT_CC_1,0,1\n",
            "split may be 'split' or 'split': name the column with split=COL",
        ),
    ],
)
def test_files_that_are_refused(text: str, said: str, check: Checked) -> None:
    status, printed = check(text)
    assert status == 2
    assert said in printed


def test_a_column_twice_cannot_be_named(check: Checked) -> None:
    status, said = check("image,split,split\nP_00001_LEFT_CC_1,0,1\n", "split=split")
    assert (status, "split=split is the name of 2 columns" in said) == (2, True)


def test_numbers_are_parts_only_when_told(check: Checked) -> None:
    text = CLEAN.replace("train\n", "0\n").replace("val", "1").replace("test", "2")
    status, said = check(text)
    assert status == 2
    assert "has '0', '1', '2', of which '0' may be any part: say it, as in parts=0:train" in said
    assert check(text, "parts=0:train,1:val,2:test")[0] == 0
    assert "fold 0" in check(text, "parts=folds")[1]


def test_folds(check: Checked) -> None:
    text = CLEAN.replace("split", "fold").replace("train\n", "0\n")
    text = text.replace("val", "1").replace("test", "2")
    status, said = check(text)
    assert (status, said.count("other folds / fold")) == (0, 3)
    status, said = check(text.replace("00003", "00001"))
    assert status == 1
    assert "LEAKAGE between other folds / fold 0, other folds / fold 2." in said


def test_a_file_for_each_part(check: Checked, tmp_path: Path) -> None:
    head, *lines = CLEAN.splitlines()
    (tmp_path / "train.csv").write_text("\n".join([head, *lines[:2]]))
    # columns of its own
    (tmp_path / "test.csv").write_text("file;y\nP_00003_LEFT_CC_1.png;1\n")
    call: Checked = check.call  # type: ignore[attr-defined]
    status, said = call("check_split=train.csv,test.csv")
    # the first file's column `split` is the part's too, and says the same
    assert (status, "parts: the file's name (test)" in said) == (0, True)
    (tmp_path / "test.csv").write_text("file;y\nP_00001_LEFT_CC_1.png;1\n")
    status, said = call("check_split=train.csv,test.csv")
    assert status == 1
    assert rows_of(said, "train / test: on both sides")["same image"] == ("1", "1 of 1")
    status, said = call("check_split=train.csv,train.csv")
    assert (status, "names one file twice" in said) == (2, True)
    (tmp_path / "a.csv").write_text(CLEAN)
    status, said = call("check_split=train.csv,a.csv")
    assert (status, "the name of a.csv says no part" in said) == (2, True)
    status, said = call("check_split=train.csv,gone.csv")
    assert status == 2
    # one file whose name has a comma
    (tmp_path / "a,b.csv").write_text(CLEAN)
    assert call("check_split=a,b.csv")[0] == 0


def test_names_that_would_move_the_cursor_are_shown_as_text(check: Checked) -> None:
    text = OTHER.replace("ann", "\x1b[2Jann[red]").replace("bob", "\x1b[2Jann[red]")
    status, said = check(text, "patient=person")
    assert status == 1
    assert "\x1b" not in said
    assert "[red]" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["check_split=split.csv", "pixels=true"],
            "check_split=FILE and pixels=true are two tasks",
        ),
        (["check_split=split.csv", "split_to=x.csv"], "split_to=FILE are two tasks"),
        (["id=image"], "id= is about a split: name its file with check_split=FILE"),
        (["parts=folds"], "parts= is about a split"),
        (["check_split=split.csv", "data.root=x"], "data.root=x: of which data set?"),
        (["check_split=nowhere.csv"], "nowhere.csv"),
        (["check_split="], "check_split= has no value"),
    ],
)
def test_arguments_that_do_not_go_together(
    arguments: Sequence[str], said: str, check: Checked
) -> None:
    check(CLEAN)
    status, printed = check.call(*arguments)  # type: ignore[attr-defined]
    assert status == 2
    assert said in printed


@pytest.mark.parametrize("columns", ["80", "120"])
def test_output_keeps_within_the_terminal(
    columns: str, check: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(CLEAN)
    monkeypatch.setenv("COLUMNS", columns)
    for text in (CLEAN, CLEAN.replace("00003", "00001")):
        lines = check(text)[1].splitlines()
        assert max(map(len, lines)) <= int(columns)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("protocol", "leaks"),
    [
        ("paper", True),
        ("paper_augment_first", True),
        ("patient", False),
        ("official", False),
        ("cv", False),
    ],
)
def test_mcalcs_own_export(protocol: str, leaks: bool, check: Checked, tmp_path: Path) -> None:
    call: Checked = check.call  # type: ignore[attr-defined]
    own = ["data=phantom", "data.phantom.lesions=60", f"data.cache={tmp_path / 'cache'}"]
    status, printed = call(*own, f"protocol={protocol}", "split_to=own.csv")
    assert status == 0
    told = re.search(r"patients on both sides: (\d+)", printed)
    status, said = call("check_split=own.csv")
    assert status == int(leaks)
    assert bool(told) is leaks
    with Path("own.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if told:
        found = rows_of(said, "train / test: on both sides")
        # as the split itself counts them
        assert found["same patient"][0] == told.group(1)
        copies = re.search(r"copies of (\d+) images", printed)
        assert found["same image"][0] == (copies.group(1) if copies else "0")
        reported = [row for row in rows if row["side"] == "reported"]
        assert found["same patient"][1].endswith(f"of {len(reported)}")


def download(
    folder: Path, case_csv: Callable[..., Any], dicom: Callable[..., Path], pixels: Sequence[Any]
) -> list[str]:
    """A download with a crop of each of these pixels, each of a patient of its own; its ids."""
    cases = case_csv()
    for number, own in enumerate(pixels, start=1):
        row = cases.add(f"P_{number:05d}")
        if own is not None:
            dicom(folder / row["cropped image file path"], own, description="cropped images")
    cases.write(folder / "calc_case_description_train_set.csv")
    return [row["cropped image file path"].split("/")[0] for row in cases.rows]


def test_identical_pixels_under_two_names(
    check: Checked, tmp_path: Path, case_csv: Callable[..., Any], dicom: Callable[..., Path],
    grey: Callable[..., Any],
) -> None:  # fmt: skip
    blank = np.zeros((20, 30), np.uint16)
    same, other = grey(20, 30, seed=1), grey(20, 30, seed=2)
    # equal values in another shape are another image
    turned = same.reshape(30, 20)
    root = tmp_path / "download"
    names = download(
        root, case_csv, dicom, [same, other, same.copy(), turned, blank, blank.copy(), None]
    )
    parts = ["train", "train", "test", "test", "train", "test", "test"]
    text = "image,split\n" + "\n".join(map(",".join, zip(names, parts, strict=True)))
    text += "\nMass-Test_P_00099_LEFT_CC_1,test\n"
    assert check(text)[0] == 0
    own = ["data=cbis_ddsm", f"data.root={root}", f"data.cache={tmp_path / 'cache'}"]
    status, said = check(text, *own)
    assert status == 1
    assert "Pixels compared of 4 of 8 rows; 2 not in this data; 2 blank" in said
    found = rows_of(said, "train / test: on both sides")
    assert found["identical pixels"] == ("1", "1 of 5")
    assert "P_00003_RIGHT_CC_1" in said
    assert found["same patient"] == ("0", "0 of 5")
    # without the copy
    lines = [line for line in text.splitlines() if "P_00003" not in line]
    status, said = check("\n".join(lines), *own)
    assert status == 0
    assert "no identical pixels" in said


@pytest.mark.shared
def test_a_split_by_crop_of_the_real_rows(check: Checked, shared_data: Path) -> None:
    """As a published split of another project does: counted with pandas."""
    folder = shared_data / "cbis-ddsm" / "csv"
    files = [folder / f"{kind}_case_description_{part}_set.csv"
             for kind in ("calc", "mass") for part in ("train", "test")]  # fmt: skip
    both = pd.concat(
        [pd.read_csv(file).rename(columns={"breast_density": "breast density"}) for file in files],
        ignore_index=True,
    )
    draw = np.random.default_rng(5)
    both["set"] = draw.choice(["Train", "Val", "Test"], size=len(both), p=[0.7, 0.1, 0.2])
    patient = ["patient_id"]
    breast = [*patient, "left or right breast"]
    film = [*breast, "image view"]
    finding = [*breast, "abnormality type", "abnormality id"]
    image = [*film, "abnormality type", "abnormality id"]
    keys = {
        "same patient": patient, "same breast": breast, "same mammogram": film,
        "same finding": finding, "same image": image,
    }  # fmt: skip
    pairs = {
        "train / validation": ("Train", "Val"),
        "train / test": ("Train", "Test"),
        "validation / test": ("Val", "Test"),
    }
    short = both[["cropped image file path", "pathology", "set"]]
    for content in (both.to_csv(index=False), short.to_csv(index=False, sep=";")):
        status, said = check(content)
        assert status == 1
        for title, (seen, held) in pairs.items():
            before, after = both[both["set"] == seen], both[both["set"] == held]
            printed = rows_of(said, f"{title}: on both sides")
            for level, columns in keys.items():
                joint = after.merge(before[columns].drop_duplicates(), on=columns)
                expected = (
                    str(len(joint[columns].drop_duplicates())), f"{len(joint)} of {len(after)}",
                )  # fmt: skip
                assert printed[level] == expected, (title, level)
            other = after.merge(
                before[[*finding, "image view"]], on=finding, suffixes=("", " seen")
            )
            other = other[other["image view"] != other["image view seen"]]
            rows = len(other[[*finding, "image view"]].drop_duplicates())
            assert printed["finding in other view"][1] == f"{rows} of {len(after)}"


@pytest.mark.shared
def test_the_official_csvs_as_they_are(check: Checked, shared_data: Path) -> None:
    folder = shared_data / "cbis-ddsm" / "csv"
    call: Checked = check.call  # type: ignore[attr-defined]

    def names(*parts: str) -> str:
        files = (f"{part}_set.csv".replace("_", "_case_description_", 1) for part in parts)
        return "check_split=" + ",".join(str(folder / file) for file in files)

    assert call(names("calc_train", "calc_test"))[0] == 0
    # 18 patients of the calcifications that train have masses in the test part, 13 the reverse
    for first, second, patients in (("calc", "mass", "18"), ("mass", "calc", "13")):
        status, said = call(names(f"{first}_train", f"{second}_test"))
        assert status == 1
        found = rows_of(said, "train / test: on both sides")
        assert found["same patient"][0] == patients
        assert found["same finding"] == found["same image"] == ("0", found["same image"][1])
