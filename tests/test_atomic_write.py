from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mcalc.atomic_write import (
    held_folder,
    make_record_folder,
    remove_abandoned,
    try_place,
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


def device(folder: Path, kind: str, major: int, minor: int) -> Path:
    """A device of our own: those of /dev are everybody's."""
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    path = folder / "device"
    os.mknod(path, {"c": stat.S_IFCHR, "b": stat.S_IFBLK}[kind] | 0o666, os.makedev(major, minor))
    return path


def test_a_link_stays_and_what_it_leads_to_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    old, link, chain = tmp_path / "elsewhere" / "old", tmp_path / "link", tmp_path / "chain"
    old.write_text("old")
    link.symlink_to("elsewhere/old")
    chain.symlink_to(link)

    def half() -> None:
        with write_text(chain) as file:
            file.write("half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert old.read_text() == "old"
    before = old.stat().st_ino
    try_place(chain)
    with write_text(chain) as file:
        file.write("new")
        assert old.read_text() == "old"
    assert (old.read_text(), old.is_symlink()) == ("new", False)
    assert old.stat().st_ino != before
    assert (chain.readlink(), link.readlink()) == (link, Path("elsewhere/old"))
    assert [each.name for each in old.parent.iterdir()] == ["old"]


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new" / "file")
    try_place(link)
    with write_text(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert (tmp_path / "new" / "file").read_text() == "new"


def test_a_link_to_itself_is_an_os_error_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="link"), write_text(link) as file:
        file.write("new")
    assert link.is_symlink()


def test_a_pipe_gets_all_of_it_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    try_place(pipe)  # does not wait for a reader
    content = b"x" * 1_000_000  # more than a pipe holds
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        with write_binary(pipe) as file:
            file.write(content)
        assert read.result() == content
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_full_device_is_an_os_error_and_stays(tmp_path: Path) -> None:
    full = device(tmp_path, "c", 1, 7)
    try:
        full.open("wb").close()
    except PermissionError:
        pytest.skip("this file system has no devices")
    try_place(full)
    with pytest.raises(OSError, match="No space left"), write_text(full) as file:
        file.write("new")
    assert full.is_char_device()
    assert list(tmp_path.iterdir()) == [full]


def test_a_disk_is_not_written_over(tmp_path: Path) -> None:
    disk = device(tmp_path, "b", 7, 250)
    with pytest.raises(OSError, match="a block device"):
        try_place(disk)
    with pytest.raises(OSError, match="a block device"), write_text(disk):
        pass
    assert disk.is_block_device()


def test_what_is_open_already_gets_it_after_what_was_printed(tmp_path: Path) -> None:
    out, log = tmp_path / "stdout", tmp_path / "log"
    out.symlink_to("/proc/self/fd/1")
    log.write_text("earlier\n")
    script = f"""
import sys
from pathlib import Path
from mcalc.atomic_write import try_place, write_text
print("before")
try_place(Path({str(out)!r}))
with write_text(Path({str(out)!r})) as file:
    file.write("table\\n")
print("after")
"""
    command = [sys.executable, "-c", script]
    piped = subprocess.run(command, check=True, capture_output=True, text=True)
    assert piped.stdout == "before\ntable\nafter\n"
    with log.open("a") as stream:
        subprocess.run(command, check=True, stdout=stream)
    assert log.read_text() == "earlier\nbefore\ntable\nafter\n"
    assert out.readlink() == Path("/proc/self/fd/1")
    assert {*tmp_path.iterdir()} == {out, log}
