from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcalc.config import CsvSplit, DataConfig, PhantomConfig
from mcalc.data.phantom.source import phantom_root
from mcalc.data.records import Split
from mcalc.data.sources.registry import open_source
from mcalc.errors import UserError


def _phantom(tmp_path: Path, **settings: Any) -> DataConfig:
    settings.setdefault("phantom", PhantomConfig(lesions=12, seed=3))
    return DataConfig(source="phantom", cache=str(tmp_path / "cache"), **settings)


def test_a_phantom_is_written_once_below_the_cache_and_indexed(tmp_path: Path) -> None:
    seen: list[int] = []
    index = open_source(_phantom(tmp_path), lambda done, total: seen.append(total))
    assert index.root.parent == tmp_path / "cache"
    assert len(index.lesions) == 12
    assert all(lesion.crop and lesion.mask and lesion.full for lesion in index.lesions)
    assert set(seen) == {12}
    written = {path: path.stat().st_mtime_ns for path in index.root.rglob("*")}
    again = open_source(_phantom(tmp_path))
    assert again == index
    assert {path: path.stat().st_mtime_ns for path in index.root.rglob("*")} == written


def test_each_phantom_has_a_separate_folder(tmp_path: Path) -> None:
    roots = [
        phantom_root(_phantom(tmp_path, phantom=PhantomConfig(lesions=12, **changed)))
        for changed in ({}, {"seed": 4}, {"difficulty": 1.0}, {"difficulty": 0.25})
    ]
    assert len(set(roots)) == 4
    # an int from the command line names the same difficulty
    same = phantom_root(_phantom(tmp_path, phantom=PhantomConfig(lesions=12, difficulty=1)))
    assert same == roots[2]


def test_a_phantom_goes_where_the_root_says_and_its_split_is_chosen(tmp_path: Path) -> None:
    root = tmp_path / "here"
    whole = open_source(_phantom(tmp_path, root=str(root)))
    assert whole.root == root
    index = open_source(_phantom(tmp_path, root=str(root), csv_split=CsvSplit.train))
    assert index.lesions == tuple(each for each in whole.lesions if each.split is Split.TRAIN)


def test_a_phantom_never_lands_in_a_folder_of_someone_elses(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match=r"data\.root=PATH"):
        open_source(_phantom(tmp_path, root=str(tmp_path / "data")))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.txt"]
