from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcalc import plugins
from mcalc.config import CsvSplit, DataConfig
from mcalc.data.sources.registry import BUILT_IN, Source, find_source, open_source
from mcalc.errors import UserError


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_source_is_found(name: str) -> None:
    source = find_source(name)
    assert isinstance(source, Source)
    assert source.name == name


def test_an_unknown_source_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"expected one of cbis_ddsm, cmmd.*did you mean 'folder'"):
        open_source(DataConfig(source="foldr"))


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "phantom"])
def test_a_source_that_needs_a_root_says_so(name: str) -> None:
    with pytest.raises(UserError, match=rf"data={name} needs data\.root=PATH: the folder of"):
        open_source(DataConfig(source=name))


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "folder"])
def test_a_source_with_labels_of_its_own_refuses_a_csv_of_others(name: str, tmp_path: Path) -> None:
    data = DataConfig(source=name, root=str(tmp_path / "root"), labels="labels.csv")
    with pytest.raises(UserError, match=rf"labels\.csv is not read with data={name}.*data=folder"):
        open_source(data)
    assert not (tmp_path / "root").exists()


def test_a_download_is_read_where_its_settings_say(
    tmp_path: Path, case_csv: Callable[..., Any], dicom: Callable[..., Path], grey: Any
) -> None:
    cases = case_csv("Calc-Test")
    row = cases.add()
    crop = dicom(tmp_path / "root" / row["cropped image file path"], grey(8, 9))
    cases.write(tmp_path / "tables" / "calc_case_description_test_set.csv")
    data = DataConfig(
        source="cbis_ddsm",
        root=str(tmp_path / "root"),
        csv_dir=str(tmp_path / "tables"),
        csv_split=CsvSplit.test,
    )
    assert [lesion.crop for lesion in open_source(data).lesions] == [crop]


# --- from another package -----------------------------------------------------------------------


Install = Callable[[str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with one entry point and this module text."""

    def install(entry: str, text: str) -> None:
        info = tmp_path / "their_data-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-data\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text(f"[mcalc.sources]\n{entry}\n")
        (tmp_path / "their_data.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        plugins.installed.cache_clear()

    yield install
    monkeypatch.undo()
    sys.modules.pop("their_data", None)
    plugins.installed.cache_clear()


def test_a_built_in_source_cannot_be_replaced(package: Install) -> None:
    package("folder = their_data:SOURCE", "")
    with pytest.raises(UserError, match=r"data.source=folder is built in.*their-data"):
        find_source("folder")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SOURCE = 1", "their-data gives a int, expected a mcalc.data.sources.registry.Source"),
        ("import nothing_of_this_name", "their-data 2.1 cannot be loaded"),
    ],
)
def test_a_package_that_gives_no_source_is_named(package: Install, text: str, says: str) -> None:
    package("theirs = their_data:SOURCE", text)
    with pytest.raises(UserError, match=says):
        find_source("theirs")
