"""A file's content as a hash, and its state, by which a content that is known is known again."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_PART = 2**22
"""Bytes of a file that are in memory at a time."""
SETTLED_SECONDS = 3.0
"""A file's times of change distinguish its versions once they are older than this."""


class FileState(NamedTuple):
    """A file as the disk lists it; equal states are one content.

    Archives and copies give a file the time that it had elsewhere, so the time at which the disk
    noted the change (`ctime`) counts as well.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    """Not even `os.utime` sets it."""

    @property
    def is_settled(self) -> bool:
        """Whether the file cannot have changed again without its times showing it."""
        changed = max(self.mtime_ns, self.ctime_ns)
        return time.time() - changed / 1e9 > SETTLED_SECONDS


def state_of(path: Path) -> FileState | None:
    """A file's state now; None where it is not there."""
    with suppress(OSError):
        status = path.stat()
        times = status.st_mtime_ns, status.st_ctime_ns
        return FileState(os.path.realpath(path), status.st_size, *times)
    return None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_crc32(path: Path, start: int = 0, stop: int | None = None) -> int:
    """CRC-32 of a file from byte `start` to byte `stop`, or its end: tells damage, not intent.

    Three times as fast as SHA-256, for caches that are read each time. Raises OSError where it
    cannot be read.
    """
    found = 0
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size if stop is None else stop
        file.seek(start)
        left -= start
        while left > 0 and (part := file.read(min(left, _PART))):
            found = zlib.crc32(part, found)
            left -= len(part)
    return found


def known_sha256(path: Path) -> str:
    """As `file_sha256`; a file that is settled and stays as it is is read once in a process.

    For weights, hundreds of megabytes whose hash is part of each trial's identity.
    """
    state = state_of(path)
    if state is None or not state.is_settled:
        return file_sha256(path)
    return _of_state(state)


@lru_cache(maxsize=256)
def _of_state(state: FileState) -> str:
    return file_sha256(Path(state.path))
