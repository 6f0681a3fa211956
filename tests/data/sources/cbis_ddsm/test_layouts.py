from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcalc.data.sources.cbis_ddsm.index import read_index
from mcalc.data.sources.cbis_ddsm.layouts import (
    CsvPath,
    Download,
    Layout,
    parse_csv_path,
)
from mcalc.data.sources.paths import UnsafePath
from mcalc.errors import UserError

SERIES = "1.3.6.1.4.1.9590.100.1.2.26184"
CASE = "Calc-Test_P_00001_LEFT_CC_1"


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_csv_path_is_taken_apart() -> None:
    assert parse_csv_path(f"{CASE}/1.2/{SERIES}/000001.dcm\n") == CsvPath(
        CASE, SERIES, "000001.dcm"
    )
    assert parse_csv_path(rf".\CBIS-DDSM\{CASE}\1.2\{SERIES}\000001.dcm") == CsvPath(
        CASE, SERIES, "000001.dcm"
    )
    assert parse_csv_path(f"{SERIES}/1-1.jpg") == CsvPath(None, SERIES, "1-1.jpg")
    assert parse_csv_path("1-1.jpg") == CsvPath(None, None, "1-1.jpg")
    # dots inside a name climb nowhere
    assert parse_csv_path("a/b/c..d/x.dcm").series == "c..d"


@pytest.mark.parametrize(
    "text",
    ["../x/y/z.dcm", "a/../../b/c.dcm", r"a\..\..\b\c.dcm", "/etc/a/b/passwd", r"C:\a\b\c.dcm",
     r"\\server\share\a\b.dcm", "c:a/b/c/d.dcm", "a/b/c/x\0.dcm", "a/b/.."],
)  # fmt: skip
def test_paths_that_could_leave_the_root_are_refused(text: str) -> None:
    with pytest.raises(UnsafePath):
        parse_csv_path(text)


@given(st.text(st.sampled_from("ab.:/\\\\ \0\n"), max_size=14))
def test_no_part_of_an_accepted_path_can_climb(text: str) -> None:
    try:
        path = parse_csv_path(text)
    except UnsafePath:
        return
    parts = [part for part in (path.case, path.series, path.name) if part is not None]
    assert all(Path(part).name == part and "\\" not in part for part in parts)


PLACES = [
    (f"{CASE}/1.2.3/{SERIES}/000001.dcm", Layout.LEGACY),
    (f"CBIS-DDSM/{CASE}/1.2.3/{SERIES}/000001.DCM", Layout.LEGACY),
    (f"{CASE}/10-04-2016-DDSM-09887/1-cropped images-26184/000001.dcm", Layout.LEGACY),
    (f"{CASE}/10-04-2016-DDSM-NA-09887/1.000000-ROI mask images-26184/1-2.dcm", Layout.NBIA),
    (f"CBIS-DDSM/{CASE}/d-DDSM-NA-09887/1.000000-cropped images-26184/1-2.Dcm", Layout.NBIA),
    (f"manifest-16/CBIS-DDSM/{CASE}/d-DDSM-NA-0/1.000000-NA-26184/1-1.dcm", Layout.NBIA),
    (f"jpeg/{SERIES}/1-172.jpg", Layout.KAGGLE),
    (f"CBIS-DDSM/jpeg/{SERIES}/2-001.JPEG", Layout.KAGGLE),
    (f"cbis-ddsm/JPEG/{SERIES}/2-001.JPEG", Layout.KAGGLE),
    (f"{SERIES}/1-1.dcm", Layout.SERIES),
    (f"CBIS-DDSM/{SERIES}/000001.dcm", Layout.SERIES),
    (f"manifest-16/{SERIES}/1-2.dcm", Layout.SERIES),
    (f"Manifest-16/CBIS-DDSM/{SERIES}/1-2.Dcm", Layout.SERIES),
    (f"tciaDownload/{SERIES}/1-1.dcm", Layout.SERIES),
]


@pytest.mark.parametrize(("place", "layout"), PLACES)
def test_every_layout_is_found(tmp_path: Path, place: str, layout: Layout) -> None:
    file = _touch(tmp_path / place)
    _touch(file.parent / "._1-1.dcm")
    _touch(file.parent / "LICENSE")
    found = Download(tmp_path).find(CASE, [CsvPath(CASE, SERIES, "000001.dcm")])
    assert found.layout is layout
    assert found.files == (file,)


def test_nothing_is_found_for_another_case(tmp_path: Path) -> None:
    for place, _ in PLACES:
        _touch(tmp_path / place)
    found = Download(tmp_path).find("Calc-Test_P_00002_LEFT_CC_1", [CsvPath(None, "1.9", "x")])
    assert (found.layout, found.files) == (None, ())


def test_a_case_folder_without_the_named_series_gives_all_it_holds(tmp_path: Path) -> None:
    one = _touch(tmp_path / CASE / "study-1" / "1.000000-a-11111" / "1-1.dcm")
    two = _touch(tmp_path / CASE / "study-2" / "1.000000-b-22222" / "1-1.dcm")
    download = Download(tmp_path)
    assert download.find(CASE, [CsvPath(CASE, "1.2.99999", "x.dcm")]).files == (one, two)
    assert download.find(CASE, [CsvPath(CASE, "1.2.22222", "x.dcm")]).files == (two,)


def test_a_download_resumed_into_a_second_manifest_is_read_as_one(tmp_path: Path) -> None:
    place = f"CBIS-DDSM/{CASE}/s/1.000000-x-26184"
    first = _touch(tmp_path / "manifest-1" / place / "1-1.dcm")
    _touch(tmp_path / "manifest-2" / place / "1-1.dcm")
    second = _touch(tmp_path / "manifest-2" / place / "1-2.dcm")
    found = Download(tmp_path).find(CASE, [CsvPath(CASE, SERIES, "x")])
    assert found.files == (first, second)


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path / CASE / "study" / SERIES / "1.dcm")
    download = Download(tmp_path)
    listdir = os.listdir

    def refuse(folder: Path) -> list[str]:
        # rights do not bind the superuser that tests may run as
        if folder.name == "study":
            raise PermissionError(13, os.strerror(13))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(UserError, match=r"study cannot be listed \(Permission denied\)"):
        download.find(CASE, [])


def test_series_folders_come_before_unnamed_files_of_a_case_and_jpeg_copies(tmp_path: Path) -> None:
    named = CsvPath(CASE, SERIES, "000001.dcm")
    jpeg = _touch(tmp_path / "jpeg" / SERIES / "1-1.jpg")
    other = _touch(tmp_path / CASE / "study" / "1.000000-x-11111" / "1-1.dcm")
    assert Download(tmp_path).find(CASE, [named]).files == (other,)
    one = _touch(tmp_path / SERIES / "1-1.dcm")
    _touch(tmp_path / SERIES / "1-1.jpg")
    found = Download(tmp_path).find(CASE, [named])
    assert (found.layout, found.files) == (Layout.SERIES, (one,))
    again = _touch(tmp_path / "manifest-2" / SERIES / "1-2.dcm")
    _touch(tmp_path / "manifest-2" / SERIES / "1-1.dcm")
    assert Download(tmp_path).find(CASE, [named]).files == (one, again)
    assert Download(tmp_path).find_jpegs([named]).files == (jpeg,)
    by_name = _touch(tmp_path / CASE / "study" / f"1.000000-x-{SERIES[-5:]}" / "1-1.dcm")
    assert Download(tmp_path).find(CASE, [named]).files == (by_name,)


def test_a_case_folder_in_another_case_is_taken_where_it_is_the_only_one(tmp_path: Path) -> None:
    path = CsvPath(CASE, SERIES, "000001.dcm")
    file = _touch(tmp_path / CASE.lower() / "study" / SERIES / "1.dcm")
    download = Download(tmp_path)
    assert download.find(CASE, [path]).files == (file,)
    assert download.respelled == {CASE: CASE.lower()}
    _touch(tmp_path / CASE.upper() / "study" / SERIES / "1.dcm")
    assert Download(tmp_path).find(CASE, [path]).files == ()


def test_a_folder_of_the_disk_that_cannot_be_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _touch(tmp_path / SERIES / "1-1.dcm")
    (tmp_path / "lost+found").mkdir()
    listdir = os.listdir

    def refuse(folder: Path) -> list[str]:
        # rights do not bind the superuser that tests may run as
        if folder.name == "lost+found":
            raise PermissionError(13, os.strerror(13))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    assert Download(tmp_path).find(CASE, [CsvPath(CASE, SERIES, "x")]).files == (file,)


@pytest.mark.shared
def test_real_crops_in_folders_of_series(shared_data: Path, tmp_path: Path) -> None:
    root, csvs = shared_data / "cbis-ddsm" / "nbia", shared_data / "cbis-ddsm" / "csv"
    nbia = {each.id: each.crop for each in read_index(root, csvs).lesions if each.crop}
    for rows in csvs.glob("calc*.csv"):
        with rows.open(newline="") as file:
            for row in csv.DictReader(file):
                case, _, series, _ = row["cropped image file path"].split("/")
                if case in nbia:
                    (tmp_path / series).mkdir()
                    (tmp_path / series / "1-1.dcm").symlink_to(nbia[case])
    index = read_index(tmp_path, csvs)
    assert "series layout" in index.description
    found = {each.id: each.crop.resolve() for each in index.lesions if each.crop}
    assert found == {name: path.resolve() for name, path in nbia.items()}
    assert len(found) == 6


@pytest.mark.shared
def test_real_legacy_folders_are_found(shared_data: Path) -> None:
    root = shared_data / "cbis-ddsm" / "legacy"
    download = Download(root)
    for case in root.iterdir():
        found = download.find(case.name, [])
        assert found.layout is Layout.LEGACY
        assert found.files == tuple(sorted(case.rglob("*.dcm")))
