from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mcalc.data.__main__ import main

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


def test_a_phantoms_split_is_written_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "made" / "split.csv"
    arguments = ["data=phantom", "data.phantom.lesions=40", f"data.cache={tmp_path / 'cache'}"]
    main([*arguments, "protocol=patient", f"split_to={to}"])
    out = capsys.readouterr().out
    assert str(to) in out
    with to.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["patient"], set()).add(row["side"])
    assert {len(each) for each in sides.values()} == {1}
    # the same command gives the same bytes
    before = to.read_bytes()
    main([*arguments, "protocol=patient", f"split_to={to}"])
    assert to.read_bytes() == before


def test_a_split_goes_into_a_pipe_and_through_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data=phantom", "data.phantom.lesions=40", f"data.cache={tmp_path / 'cache'}"]
    pipe, link, target = (tmp_path / name for name in ("pipe", "link", "target"))
    os.mkfifo(pipe)
    target.write_text("old")
    link.symlink_to(target)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        main([*arguments, "protocol=patient", f"split_to={pipe}"])
        assert len(read.result().splitlines()) == 41
    main([*arguments, "protocol=patient", f"split_to={link}"])
    assert target.read_text() == read.result()
    assert (pipe.is_fifo(), link.is_symlink()) == (True, True)
    assert capsys.readouterr().out.count("wrote ") == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_full_device_is_a_sentence_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # one of our own: that of /dev is everybody's
    full = tmp_path / "full"
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    arguments = ["data=phantom", "data.phantom.lesions=40", f"data.cache={tmp_path / 'cache'}"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "protocol=patient", f"split_to={full}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: the split {full} cannot be written (")
    assert len(said.splitlines()) == 1
    assert full.is_char_device()


def test_pixels_are_decoded_on_request(
    download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crop = next(iter(sorted(download.rglob("*.dcm"))))
    crop.write_bytes(crop.read_bytes()[:-40])
    arguments = [
        "data=cbis_ddsm", f"data.root={download}", f"data.cache={tmp_path / 'cache'}",
        "data.min_completeness=0.75",
    ]  # fmt: skip
    main(arguments)
    assert "complete: 75.0%" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*arguments, "pixels=true"])
    out, err = capsys.readouterr()
    assert "complete: 50.0%" in out
    assert err.startswith("error: 2 of 4 lesions listed have no readable crop")
    with (tmp_path / "cache" / "ledger.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "crop unreadable"]
    assert [row["lesion"] for row in rows] == [crop.parents[2].name]


def test_pixels_are_a_yes_or_a_no(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data=phantom", "pixels=maybe"])
    assert capsys.readouterr().err == "error: pixels=maybe: expected true or false\n"


def test_every_defect_of_a_phantom_that_its_maker_lists_is_in_the_ledger(tmp_path: Path) -> None:
    main(
        [
            "data=phantom", "data.phantom.lesions=60", "data.phantom.defects=true",
            f"data.root={tmp_path / 'phantom'}", f"data.cache={tmp_path / 'cache'}",
            "data.min_completeness=0", "data.region=patch", "data.patch_size=128", "pixels=true",
        ]
    )  # fmt: skip
    text = (tmp_path / "cache" / "ledger.csv").read_text()
    assert str(tmp_path) not in text
    kinds = {row["kind"] for row in csv.DictReader(io.StringIO(text))}
    assert kinds >= {
        "mask resized", "mask empty", "mask missing", "mask unreadable", "crop missing",
        "crop unreadable", "full image missing", "full image unreadable",
        "crop and mask swapped", "lesions of one image differ in label", "row stands twice",
        "value not understood", "path leaves the data root",
        "patient in calcification and mass parts",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["split_to="], "split_to= has no value: give one"),
        (["split_to=a.csv", "split_to=b.csv"], "split_to is given twice"),
    ],
)
def test_a_split_goes_to_one_file(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["data=phantom", *arguments])
    assert capsys.readouterr().err.startswith(f"error: {said}")


@pytest.mark.shared
def test_conflicts_and_crossing_patients_are_found_in_the_ledger(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "cbis-ddsm"
    main(
        [
            "data=cbis_ddsm", f"data.root={folder / 'nbia'}", f"data.csv_dir={folder / 'csv'}",
            "data.min_completeness=0", f"data.cache={tmp_path}",
        ]
    )  # fmt: skip
    with (tmp_path / "ledger.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    conflicts = [row for row in rows if row["kind"] == "lesions of one image differ in label"]
    assert len({row["lesion"] for row in conflicts}) == 11
    binary = [row for row in conflicts if row["action"] == "each lesion keeps its own label"]
    assert len(binary) == 9
    assert all("MALIGNANT" in row["detail"] and "BENIGN" in row["detail"] for row in binary)
    crossing = [row for row in rows if row["kind"] == "patient in calcification and mass parts"]
    assert len({row["lesion"] for row in crossing}) == 31
    assert not [row for row in rows if row["kind"].startswith("count differs")]
