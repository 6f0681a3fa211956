"""What image files contain, as hashes, and the data set's fingerprint made of them.

CBIS-DDSM has 163 GB, so a file's SHA-256 is kept while it stays as it is (`file_states`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mcalc.config import DataConfig, Region, WithoutCallback
from mcalc.data.images.file_states import KnownFiles
from mcalc.data.records import Lesion, needed_files
from mcalc.file_digest import FileState, file_sha256, state_of
from mcalc.iteration import Progress, in_threads

_WRITE_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LesionDigests:
    """SHA-256 of a lesion's files; empty where the region has no use for it, or it is not read."""

    crop: str = ""
    mask: str = ""
    full: str = ""


_FILES = {each.name for each in fields(LesionDigests)}


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
    states = {path: state for path in paths if (state := state_of(path)) is not None}
    known = KnownFiles(cache, "states", {"sha256": "TEXT"})
    kept = known.read(states.values())
    found = {path: str(kept[state][0]) for path, state in states.items() if state in kept}
    missing = [path for path in states if path not in found]
    fresh: dict[FileState, tuple[str]] = {}
    written = time.monotonic()
    try:
        for path, digest in in_threads(_hash, missing):
            found[path] = digest
            if digest and states[path].is_settled:
                fresh[states[path]] = (digest,)
            if progress:
                progress(len(found) + len(paths) - len(states), len(paths))
            if time.monotonic() - written > _WRITE_EVERY_SECONDS:
                known.keep(fresh)
                fresh, written = {}, time.monotonic()
    finally:
        # what was hashed before an interruption need not be hashed again
        known.keep(fresh)
    return found


def _hash(path: Path) -> str:
    # unreadable: `prepare` says so, with the lesion's name
    with suppress(OSError):
        return file_sha256(path)
    return ""
