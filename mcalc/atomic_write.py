"""Files that are replaced whole or not at all, and the folder of the record.

What stands in a file's place and is none, as a device, a pipe or `/dev/stdout`, is written into.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EINVAL, EIO, EISDIR, ENOTDIR
from pathlib import Path
from typing import BinaryIO, TextIO

from mcalc.errors import UserError


@contextmanager
def refused_as(what: str, place: str = "name a file in a folder") -> Iterator[None]:
    """Around writing what a user named: an OSError becomes the error that speaks to the user.

    `what`: as it was named, `to=al3.onnx`; `place`: what to name in its stead.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {what} ({error.strerror or error}): {place} that you may write to"
        ) from error


def try_place(path: Path, *, folder: bool = False) -> None:
    """Look whether a file, or files in a `folder`, can be written there, before long work for them.

    Folders are made as needed. Raises OSError where they cannot.
    """
    if folder:
        place: Path | int = path / "draft"
    elif _is_written_into(path):
        # not opened, which the reader of a pipe would take for all that comes
        if not os.access(path, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))
        return
    else:
        place = _place(path)
    if isinstance(place, int):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(path))
    draft, file = _new_draft(place)
    file.close()
    draft.unlink(missing_ok=True)


@contextmanager
def write_binary(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends without an error.

    It is written beside its place, forced to disk and renamed. After an error or Ctrl-C the old
    file stays as it was and nothing lies beside it; what a killed process left is removed. Folders
    are made as needed; the file's rights are those that the user's umask gives to any file.

    A link stays, and the file that it leads to is replaced. A device, a pipe, or what is open here
    already (`/dev/stdout`) gets all of it when the block has ended.

    Raises OSError where it cannot be written.
    """
    place = _place(path)
    if isinstance(place, int) or _is_written_into(path):
        whole = io.BytesIO()
        yield whole
        _write_into(path if isinstance(place, Path) else place, whole.getbuffer())
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(place)
    draft, file = _new_draft(place)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # before it is closed, as nobody holds a closed draft
            draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _place(path: Path) -> Path | int:
    """Where links lead: to a file's place, or to what is open in this process, by its number."""
    own = f"/proc/{os.getpid()}/fd"
    seen: set[Path] = set()
    while path.is_symlink() and path not in seen:
        seen.add(path)
        folder = Path(os.path.realpath(path.parent))
        # such a link reads `pipe:[123]`; and a file behind it may have lines before ours
        if str(folder) == own and path.name.isdecimal():
            return int(path.name)
        path = folder / path.readlink()
    return path


def _is_written_into(path: Path) -> bool:
    """Whether something is there that no file can replace. Raises OSError for a disk."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISBLK(mode):
        raise OSError(EINVAL, "a block device, whose content would be lost", str(path))
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _write_into(place: Path | int, content: memoryview) -> None:
    """Write all of it to a device, a pipe, or an open file of this process."""
    if isinstance(place, int):
        # what was printed before comes before
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        handle = os.dup(place)
    else:
        handle = os.open(place, os.O_WRONLY | os.O_NOCTTY)
    with os.fdopen(handle, "wb", buffering=0) as file:
        while content:
            written = file.write(content)
            if not written:  # nobody reads, and it does not wait
                raise OSError(EIO, "it takes no more", str(place))
            content = content[written:]


def _new_draft(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        # not tempfile.mkstemp, whose files only their owner may read
        draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
        file = draft.open("xb")
        hold(file.fileno())
        # another process may have taken it for abandoned before it was held
        if draft.exists():
            return draft, file
        file.close()


@contextmanager
def held_folder(draft: Path) -> Iterator[None]:
    """Make a folder in which a draft is written; while inside, it counts as not abandoned."""
    while True:
        draft.mkdir(parents=True)
        handle = os.open(draft, os.O_RDONLY)
        hold(handle)
        if draft.exists():
            break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


def hold(draft: int) -> None:
    """Mark an open draft, a file or a folder, as one of a living process, until it is closed."""
    # some network file systems have no locks: there nothing is held, and nothing removed
    with suppress(OSError):
        fcntl.flock(draft, fcntl.LOCK_SH)


def remove_abandoned(path: Path, pattern: str = "-[0-9a-f]{12}") -> None:
    """Remove drafts of `path` that killed processes left: those that nobody holds.

    `pattern`: what follows `.NAME` in the name of a draft.
    """
    drafts = re.compile(rf"\.{re.escape(path.name)}{pattern}")
    try:
        left = [each for each in path.parent.iterdir() if drafts.fullmatch(each.name)]
    except OSError:
        return
    for draft in left:
        with suppress(OSError):
            handle = os.open(draft, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if draft.is_dir():
                    shutil.rmtree(draft)
                else:
                    draft.unlink()
            finally:
                os.close(handle)


@contextmanager
def write_text(path: Path) -> Iterator[TextIO]:
    """As `write_binary`, for UTF-8 text; line ends are written as they are given."""
    with write_binary(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


def make_record_folder(folder: Path) -> None:
    """Make the folder of a record, where there is none. Raises UserError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_record_folder(folder, error.strerror) from error


def check_record_folder(folder: Path) -> None:
    """Raise UserError as `make_record_folder`, and where it is not writable; makes nothing."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        reason = os.strerror(ENOTDIR)
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = os.strerror(EACCES)
    else:
        return
    raise _no_record_folder(folder, reason)


def _no_record_folder(folder: Path, reason: str | None) -> UserError:
    what = "written into" if folder.is_dir() else "made"
    return UserError(
        f"the record folder {folder} cannot be {what} ({reason}): name a writable one "
        "with tracking.dir=PATH"
    )


def sync(path: Path) -> None:
    """Force a file that is written already to disk, so that a crash of the system keeps it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names of a folder's files to disk, so that a crash of the system keeps a rename."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
