"""What a file contains, as a hash."""

from __future__ import annotations

import hashlib
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

SETTLED_SECONDS = 3.0
"""A file's time of change distinguishes its versions once it is older than this."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """As `file_sha256`; a file that stays as it is is read once in a process.

    For weights, hundreds of megabytes whose hash is part of each trial's identity. A file that was
    changed within the last seconds is read: it could change once more without its times showing it.
    """
    status = path.stat()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    if time.time() - changed / 1e9 <= SETTLED_SECONDS:
        return file_sha256(path)
    times = status.st_mtime_ns, status.st_ctime_ns
    return _of_state(_State(os.path.realpath(path), status.st_ino, status.st_size, *times))


class _State(NamedTuple):
    """A file as the disk lists it; equal states are one content."""

    path: str
    number: int
    size: int
    mtime_ns: int
    ctime_ns: int
    """Not even `os.utime` sets it."""


@lru_cache(maxsize=256)
def _of_state(state: _State) -> str:
    return file_sha256(Path(state.path))
