"""Headers that were read once are known while their files stay as they are."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcalc.data.images import UnreadableImage, kept_headers
from mcalc.data.images.file_states import DATABASE
from mcalc.data.images.image_file import read_header

_LONG_AGO = 1_600_000_000


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled: the time at which the disk noted a change cannot be set back."""
    monkeypatch.setattr("mcalc.file_digest.SETTLED_SECONDS", -1.0)


def picture(file: Path, width: int, height: int, when: int = _LONG_AGO) -> Path:
    Image.fromarray(np.zeros((height, width), np.uint8)).save(file)
    os.utime(file, (when, when))
    return file


def read_twice(cache: Path, file: Path) -> list[tuple[int, int]]:
    found = []
    for _ in range(2):
        with kept_headers(cache) as header_of:
            header = header_of(file)
            assert header == read_header(file)
            found.append((header.width, header.height))
    return found


def test_a_header_that_is_known_is_not_read(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 30, 20)
    with kept_headers(tmp_path / "cache") as header_of:
        known = header_of(file)
    # other content in the same place, of the same size and times: only the disk's own note differs,
    # and it is put into the database, so that reading would be seen
    size = file.stat().st_size
    file.write_bytes(b"x" * size)
    os.utime(file, (_LONG_AGO, _LONG_AGO))
    status = file.stat()
    with sqlite3.connect(tmp_path / "cache" / DATABASE) as database:
        database.execute("UPDATE headers_1 SET ctime_ns = ?", (status.st_ctime_ns,))
    with kept_headers(tmp_path / "cache") as header_of:
        assert header_of(file) == known


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    cache, file = tmp_path / "cache", picture(tmp_path / "a.png", 30, 20)
    assert read_twice(cache, file) == [(30, 20)] * 2
    assert read_twice(cache, picture(file, 20, 30)) == [(20, 30)] * 2
    assert read_twice(cache, picture(file, 20, 30, _LONG_AGO + 5)) == [(20, 30)] * 2


def test_what_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    cache, file = tmp_path / "cache", tmp_path / "a.png"
    for damage in (None, b"", b"no picture"):
        if damage is not None:
            file.write_bytes(damage)
            os.utime(file, (_LONG_AGO, _LONG_AGO))
        with kept_headers(cache) as header_of, pytest.raises(UnreadableImage):
            header_of(file)
    assert read_twice(cache, picture(file, 9, 8)) == [(9, 8)] * 2


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 100, b"SQLite format 3\0" + b"\xff" * 500])
def test_a_damaged_cache_costs_time_alone(tmp_path: Path, damage: bytes) -> None:
    cache, file = tmp_path / "cache", picture(tmp_path / "a.png", 30, 20)
    read_twice(cache, file)
    (cache / DATABASE).write_bytes(damage)
    assert read_twice(cache, file) == [(30, 20)] * 2


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert read_twice(tmp_path / "cache", picture(tmp_path / "a.png", 30, 20)) == [(30, 20)] * 2
