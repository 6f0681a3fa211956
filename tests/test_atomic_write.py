from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcalc.atomic_write import (
    held_folder,
    make_record_folder,
    remove_abandoned,
    write_binary,
    write_text,
)
from mcalc.errors import UserError


def test_a_new_file_has_what_was_written_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with write_binary(path) as file:
        file.write(b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    with write_text(path) as text:
        text.write("é\r\n\n")
    assert path.read_bytes() == b"\xc3\xa9\r\n\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", [write_binary, write_text])
def test_an_error_leaves_the_old_file(
    tmp_path: Path, kind: Callable[[Path], Any], error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with kind(path) as file:
            file.write("new" if kind is write_text else b"new")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with write_text(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_rules_who_may_read_it(tmp_path: Path, umask: int, rights: int) -> None:
    before = os.umask(umask)
    try:
        with write_text(tmp_path / "file") as file:
            file.write("x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == rights


def test_what_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), write_text(tmp_path / "file" / "below"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), write_text(tmp_path / "folder") as file:
        file.write("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_the_folder_of_a_record_is_made_or_its_place_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_record_folder(folder)
    make_record_folder(folder)
    assert folder.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"record folder .*file/mlruns cannot be made \(Not a dir"):
        make_record_folder(tmp_path / "file" / "mlruns")


def write_and_die(path: str) -> None:
    with write_binary(Path(path)) as file:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_of_a_living_one(
    tmp_path: Path,
) -> None:
    path, other = tmp_path / "file [1]", tmp_path / "file [1]-0123456789ab"
    process = multiprocessing.get_context("fork").Process(target=write_and_die, args=(str(path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with write_binary(path) as first:
        assert not left.exists()
        first.write(b"first")
        with write_binary(path) as second, write_binary(other) as third:
            second.write(b"second")
            third.write(b"third")
    assert path.read_bytes() == b"first"
    assert {*tmp_path.iterdir()} == {path, other}


def test_a_folder_that_is_written_is_kept_and_an_abandoned_one_removed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with held_folder(tmp_path / ".place-0123456789ab"):
        remove_abandoned(place)
        assert [*tmp_path.iterdir()] == [tmp_path / ".place-0123456789ab"]
    (tmp_path / ".place-0123456789ab" / "file").touch()
    remove_abandoned(place)
    assert [*tmp_path.iterdir()] == []
