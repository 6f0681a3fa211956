"""The same file under several lesions: equal bytes, whatever the names.

A copy under another patient may be trained on and reported at once; one under another label is
labelled wrongly somewhere. Copies of one patient with one label do less harm, and are counted in
the ledger alone. Only files that `data.region` is made of are compared, by their SHA-256.

Not a copy: a mammogram shown once for all lesions that lie on it, under one path (links followed).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from mcalc.config import DataConfig, Region, WithoutCallback
from mcalc.data.images.file_hashes import LesionDigests, file_digests
from mcalc.data.records import NEEDED_FILES, Defect, DefectKind, Index, Lesion, needed_files
from mcalc.iteration import Progress, grouped

EXAMPLES = 8
"""Lesions of a group that its ledger row names before it says how many more there are."""

_EMPTY_FILE = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class _Shown:
    """One file of one lesion."""

    lesion: Lesion
    path: Path

    @property
    def place(self) -> tuple[str, str]:
        """Equal for lesions that share a mammogram's file as they should."""
        return self.lesion.image, os.path.realpath(self.path)


def with_duplicates(index: Index, digests: Sequence[LesionDigests], data: DataConfig) -> Index:
    """The index with a ledger row for each group of equal files, and a note if patients or labels
    differ in one.

    `digests`: of the index's lesions, in order; files without one are not compared. What counts as
    one label is up to `data.benign_without_callback`.
    """
    rows, loud = [], []
    for name in NEEDED_FILES[data.region]:
        for lesions in _groups(name, index.lesions, digests):
            differ = _differing(lesions, data.benign_without_callback)
            rows.append(_row(name, lesions, differ))
            if differ:
                loud.append(f"{_told(lesions, 2)}: {' and '.join(differ)} differ")
    if not loud:
        return replace(index, ledger=(*index.ledger, *rows))
    number = "1 group" if len(loud) == 1 else f"{len(loud)} groups"
    note = (
        f"SAME FILE UNDER DIFFERENT PATIENTS OR LABELS: {number} of equal files (the first: "
        f"{loud[0]}), so what is reported may have been trained on, or be labelled wrongly; remove "
        "the copies, or correct the table"
    )
    return replace(index, ledger=(*index.ledger, *rows), notes=(*index.notes, note))


def digests_of_candidates(
    lesions: Sequence[Lesion], region: Region, cache: Path, progress: Progress | None = None
) -> list[LesionDigests]:
    """Digests of those files alone that may have a copy: another file has as many bytes.

    For a check of a download of 163 GB, of which a few files are read. Other digests are empty.
    """
    sizes = {path: size for path in _files(lesions, region) if (size := _size(path))}
    of_size = grouped({os.path.realpath(path): size for path, size in sizes.items()}.items(), _last)
    # one file that different mammograms name is a copy as well, and costs one reading
    named: dict[str, set[str]] = {}
    for lesion in lesions:
        for path in needed_files(lesion, region).values():
            if path is not None:
                named.setdefault(os.path.realpath(path), set()).add(lesion.shown_on(region))
    wanted = {
        path
        for path, size in sizes.items()
        if len(of_size[size]) > 1 or len(named[os.path.realpath(path)]) > 1
    }
    return file_digests(
        [_only(lesion, wanted, region) for lesion in lesions], region, cache, progress
    )


def _only(lesion: Lesion, wanted: set[Path], region: Region) -> Lesion:
    """The lesion with those of its files that are wanted."""
    kept = {name: path for name, path in needed_files(lesion, region).items() if path in wanted}
    return replace(lesion, crop=kept.get("crop"), mask=kept.get("mask"), full=kept.get("full"))


def _files(lesions: Sequence[Lesion], region: Region) -> Iterator[Path]:
    files = (needed_files(lesion, region).values() for lesion in lesions)
    return (path for path in chain.from_iterable(files) if path is not None)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _last(pair: tuple[str, int]) -> int:
    return pair[1]


def _groups(
    name: str, lesions: Sequence[Lesion], digests: Sequence[LesionDigests]
) -> Iterator[list[Lesion]]:
    """Equal files of one kind, in the order of the lesions; groups of one are not given."""
    by_content: dict[str, list[_Shown]] = {}
    for lesion, content in zip(lesions, digests, strict=True):
        path, digest = getattr(lesion, name), getattr(content, name)
        # a file of no bytes is unreadable, which is reported as such
        if path is not None and digest and digest != _EMPTY_FILE:
            by_content.setdefault(digest, []).append(_Shown(lesion, path))
    for group in by_content.values():
        if len(group) > 1 and _is_copied(name, group):
            yield [shown.lesion for shown in group]


def _is_copied(name: str, group: Sequence[_Shown]) -> bool:
    if name == "full":
        return len({shown.place for shown in group}) > 1
    # a mask without an outline says nothing, equals every other one, and is reported as empty
    return name != "mask" or not _is_blank(group[0].path)


def _is_blank(path: Path) -> bool:
    # late: a plan needs no image library
    from mcalc.data.images.image_file import read_image
    from mcalc.data.images.unreadable import UnreadableImage

    with suppress(UnreadableImage):
        pixels = read_image(path)
        return bool(pixels.min() == pixels.max())
    return False


def _differing(lesions: Sequence[Lesion], rule: WithoutCallback) -> list[str]:
    """What of `patients` and `labels` is not the same for all."""
    own_class = rule is WithoutCallback.own_class
    labels = {str(each.pathology) if own_class else str(each.label) for each in lesions}
    patients = {lesion.patient for lesion in lesions}
    return ["patients"] * (len(patients) > 1) + ["labels"] * (len(labels) > 1)


def _row(name: str, lesions: Sequence[Lesion], differ: Sequence[str]) -> Defect:
    kind = DefectKind.COPY_CONFLICT if differ else DefectKind.COPY
    said = f"{' and '.join(differ)} differ" if differ else "same patient and label"
    what = "full image" if name == "full" else name
    detail = f"one {what} file under {_told(lesions, EXAMPLES)}: {said}"
    return Defect(lesions[0].id, kind, detail, "kept: each lesion takes part")


def _told(lesions: Sequence[Lesion], most: int) -> str:
    told = [
        f"{lesion.id} (patient {lesion.patient}, {lesion.pathology})" for lesion in lesions[:most]
    ]
    more = [f"{len(lesions) - most} more"] * (len(lesions) > most)
    return " and ".join([*told, *more])
