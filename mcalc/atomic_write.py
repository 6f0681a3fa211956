"""Files that are replaced whole or not at all, and the folder of the record."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from mcalc.errors import UserError


@contextmanager
def write_binary(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends without an error.

    It is written beside its place, forced to disk and renamed. After an error or Ctrl-C the old
    file stays as it was and nothing lies beside it. Folders are made as needed; the file's rights
    are those that the user's umask gives to any file.

    Raises OSError where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile.mkstemp, whose files only their owner may read
    draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


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
        raise UserError(
            f"the record folder {folder} cannot be made ({error.strerror}): name a writable one "
            "with tracking.dir=PATH"
        ) from error


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
