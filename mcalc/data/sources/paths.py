"""Folders and paths of a data set: what may be read, and what lies where."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

from mcalc.errors import UserError

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".jpg", ".jpeg", ".png"})
"""Lower case; files are matched whatever their case."""


class UnsafePath(ValueError):  # noqa: N818 - read as a sentence: `except UnsafePath`
    """A path of a CSV that is absolute or climbs with `..`."""


def checked_root(root: Path, what: str) -> Path:
    """The absolute path of data.root, which must be a folder with something in it.

    `what`: what is expected there, as `the folder of a CMMD download`. Raises UserError.
    """
    root = root.expanduser().absolute()
    if not root.exists():
        raise UserError(f"data.root={root} does not exist: expected {what}; check the path")
    if not root.is_dir():
        raise UserError(
            f"data.root={root} is not a folder: expected {what}; unpack it and name the folder"
        )
    if not entries(root):
        raise UserError(
            f"data.root={root} is empty: expected {what}; check the path, or that its disk is "
            "mounted"
        )
    return root


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without hidden files (`.DS_Store`, `._1-1.dcm`).

    Raises UserError when the folder cannot be listed.
    """
    return [folder / name for name in _names(folder)]


def _names(folder: Path) -> list[str]:
    """As `entries`; a list of thousands of names is sorted sooner than one of paths."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be listed ({error.strerror}): check that this user may "
            "read it, or name another folder"
        ) from error


def subfolders(folders: Iterable[Path]) -> list[Path]:
    """The folders in these folders, sorted within each, without hidden ones. Raises UserError."""
    return [path for folder in folders for path in entries(folder) if path.is_dir()]


def data_folders(root: Path, name: str) -> list[Path]:
    """What may hold the folders of cases or patients: the root may be any of the upper levels.

    `name`: of the data set's own folder, below the root or below a manifest's folder.
    """
    manifests = [root / name for name in _names(root) if name.casefold().startswith("manifest")]
    places = [place for top in (root, *manifests) for place in (top, child(top, name))]
    return [place for place in places if place is not None and place.is_dir()]


def name_key(name: str) -> str:
    """A name as it is compared where case and Unicode form do not count."""
    # folding may take a composed letter apart
    return normalize("NFC", normalize("NFC", name).casefold())


def is_file(path: Path) -> bool:
    """Whether a file is there; no for a name that no file can have, as one that is too long."""
    with suppress(OSError):
        return path.is_file()
    return False


def child(folder: Path, name: str) -> Path | None:
    """What has this name in a folder, or else the only one that has it but for case and form."""
    # not Path.exists, which raises where rights are lacking
    if os.path.lexists(folder / name):
        return folder / name
    found = []
    # a folder that is not there or cannot be listed
    with suppress(UserError):
        key = name_key(name)
        found = [each for each in _names(folder) if name_key(each) == key]
    return folder / found[0] if len(found) == 1 else None


def image_files(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Files with an image's suffix at most `depth` folders down, in order."""
    for path in entries(folder):
        if path.is_dir():
            if depth:
                yield from image_files(path, depth - 1)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield path


def files_below(folder: Path) -> Iterator[Path]:
    """Files at any depth in order; a link to a folder that holds it is not followed."""
    return _files(folder, set())


def _files(folder: Path, above: set[Path]) -> Iterator[Path]:
    here = folder.resolve()
    if here in above:
        return
    for path in entries(folder):
        if path.is_dir():
            yield from _files(path, above | {here})
        else:
            yield path


def is_image_file(path: Path) -> bool:
    """By its suffix, or by its content: scanners often write DICOM files without one."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    with suppress(OSError), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
    return False


def first_file(folders: Iterable[Path], name: str) -> Path | None:
    """The file of this name in the first of the folders that has it, whatever its case.

    Where none has a file but one has something else there, such as a folder or a broken link, that
    is given, for the reader to refuse. None where there is nothing.
    """
    found = [path for folder in folders if (path := child(folder, name)) is not None]
    return next((path for path in found if is_file(path)), next(iter(found), None))


def safe_parts(text: str) -> list[str]:
    """The parts of a relative path, `/` or `\\` between them.

    Raises UnsafePath for a path that could leave the folder it is meant to be relative to.
    """
    text = text.strip().replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or re.match(r"[A-Za-z]:", text) or ".." in parts or "\0" in text:
        raise UnsafePath(text)
    return parts
