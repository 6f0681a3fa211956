"""What image files contain, as hashes, and the data set's fingerprint made of them.

CBIS-DDSM has 163 GB, so a file's SHA-256 is kept in `<cache>/digests.sqlite` under its path, size
and times of change, for any number of processes. Archives and copies give a file the time that it
had elsewhere, so the time at which the disk noted the change counts as well (`ctime`). Hashes of
files changed within the last seconds are not kept: such a file could change once more without its
time showing it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mcalc.config import DataConfig, Region, WithoutCallback
from mcalc.data.records import Lesion, needed_files
from mcalc.file_digest import SETTLED_SECONDS, file_sha256
from mcalc.iteration import Progress, in_threads

DATABASE = "digests.sqlite"
_T = TypeVar("_T")
_PATIENCE_SECONDS = 30.0
_WRITE_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LesionDigests:
    """SHA-256 of a lesion's files; empty where the region has no use for it, or it is not read."""

    crop: str = ""
    mask: str = ""
    full: str = ""


_FILES = {each.name for each in fields(LesionDigests)}


class _State(NamedTuple):
    """A file as the disk lists it; equal states are one content."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    """Not even `os.utime` sets it."""


def file_digests(
    lesions: Sequence[Lesion], region: Region, cache: Path, progress: Progress | None = None
) -> list[LesionDigests]:
    """Digests of the files that the region is made of, and of crops, whose size is a baseline.

    Files are read only where the cache does not know them; one that cannot be read has an empty
    digest, and `prepare` says why. A cache that is damaged or cannot be written only costs time.
    """
    files = [{"crop": lesion.crop, **needed_files(lesion, region)} for lesion in lesions]
    wanted = {path for named in files for path in named.values() if path is not None}
    known = _digests(sorted(wanted), cache, progress)
    return [
        LesionDigests(**{name: known.get(path, "") for name, path in named.items() if path})
        for named in files
    ]


def fingerprint(
    lesions: Sequence[Lesion], digests: Sequence[LesionDigests], settings: DataConfig
) -> str:
    """Hash of what the data is: all that is recorded of each lesion, and which pixels show it.

    Every field of `Lesion` is part of it, as a protocol, a unit or a baseline may read it, but for
    places of files. Of the files it is the content: of those that `settings.region` is made of, and
    of the crop, whose size is a baseline. The pathology is a label where BENIGN_WITHOUT_CALLBACK is
    simply benign. Independent of the rows' order and of where the files lie.
    """
    pairs = zip(lesions, digests, strict=True)
    rows = sorted(json.dumps(_row(*pair, settings), sort_keys=True) for pair in pairs)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _row(lesion: Lesion, content: LesionDigests, settings: DataConfig) -> dict[str, Any]:
    """What is known of a lesion, without fields at their defaults: a new field changes nothing."""
    read = {"crop", *needed_files(lesion, settings.region)}
    row: dict[str, Any] = {name: getattr(content, name) for name in sorted(read)}
    for each in fields(Lesion):
        value = getattr(lesion, each.name)
        if each.name not in _FILES and value != each.default:
            # sets have no order of their own
            row[each.name] = sorted(value) if isinstance(value, frozenset) else value
    if settings.benign_without_callback is WithoutCallback.benign:
        row["pathology"] = lesion.label
    return row


def _digests(paths: Sequence[Path], cache: Path, progress: Progress | None) -> dict[Path, str]:
    states = {path: state for path in paths if (state := _state(path)) is not None}
    kept = _read_kept(cache, states.values())
    found = {path: kept[state] for path, state in states.items() if state in kept}
    missing = [path for path in states if path not in found]
    fresh: dict[_State, str] = {}
    written = time.monotonic()
    try:
        for path, digest in in_threads(_hash, missing):
            found[path] = digest
            if digest and _is_settled(states[path]):
                fresh[states[path]] = digest
            if progress:
                progress(len(found) + len(paths) - len(states), len(paths))
            if time.monotonic() - written > _WRITE_EVERY_SECONDS:
                _keep(cache, fresh)
                fresh, written = {}, time.monotonic()
    finally:
        # what was hashed before an interruption need not be hashed again
        _keep(cache, fresh)
    return found


def _hash(path: Path) -> str:
    # unreadable: `prepare` says so, with the lesion's name
    with suppress(OSError):
        return file_sha256(path)
    return ""


def _state(path: Path) -> _State | None:
    with suppress(OSError):
        status = path.stat()
        times = status.st_mtime_ns, status.st_ctime_ns
        return _State(os.path.realpath(path), status.st_size, *times)
    return None


def _is_settled(state: _State) -> bool:
    return time.time() - state.mtime_ns / 1e9 > SETTLED_SECONDS


def _read_kept(cache: Path, states: Iterable[_State]) -> dict[_State, str]:
    """What the database knows of files in these very states."""
    if not (cache / DATABASE).is_file():
        return {}

    def read(database: sqlite3.Connection) -> dict[_State, str]:
        query = (
            "SELECT sha256 FROM states "
            "WHERE path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
        )
        rows = ((state, database.execute(query, state).fetchone()) for state in states)
        return {state: row[0] for state, row in rows if row}

    return _in_database(cache, read) or {}


def _keep(cache: Path, fresh: dict[_State, str]) -> None:
    def write(database: sqlite3.Connection) -> None:
        rows = [(*state, digest) for state, digest in fresh.items()]
        database.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()

    if fresh:
        _in_database(cache, write)


def _in_database(cache: Path, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
    """What `work` gives with the open database; None where it fails. A damaged one is removed.

    Losing it is never an error: what it held is hashed again.
    """
    place = cache / DATABASE
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=_PATIENCE_SECONDS)) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS states "
                "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, "
                "sha256 TEXT) WITHOUT ROWID"
            )
            return work(connection)
    except (sqlite3.OperationalError, OSError):
        # a lock, a full disk, a folder that cannot be written: not damage
        return None
    except sqlite3.DatabaseError:
        place.unlink(missing_ok=True)
        return None
