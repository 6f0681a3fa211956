"""Digests of the decoded pixels of a split's images, where the data set is at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcalc.data.images import UnreadableImage, read_image
from mcalc.data.records import Lesion
from mcalc.data.splits.checking.names import parse_image
from mcalc.data.splits.checking.rows import SplitRow
from mcalc.iteration import Progress, in_threads


@dataclass(frozen=True, slots=True)
class Pixels:
    """What was decoded."""

    digests: Mapping[int, str]
    """By the row's place; equal where shape, depth and every pixel are."""
    missing: int
    """Rows whose image is not in the data."""
    unreadable: int
    """Rows whose image cannot be decoded."""
    blank: int
    """Rows whose image has one value throughout, as any other such one: not compared."""


def decode(
    rows: Sequence[SplitRow], lesions: Sequence[Lesion], progress: Progress | None = None
) -> Pixels:
    """Decode the image of every row that belongs to a part and that the data has, once each.

    A lesion's row is its crop, or its mammogram where it has no crop; a mammogram's row is that.
    Equal are images to the last bit, so that a JPEG is never equal to the DICOM it was made of.
    """
    files = _files(lesions)
    wanted = {place: files.get(_key(row)) for place, row in enumerate(rows) if row.part is not None}
    paths = sorted({path for path in wanted.values() if path is not None})
    known: dict[Path, str | None] = {}
    for path, digest in in_threads(_digest, paths):
        known[path] = digest
        if progress:
            progress(len(known), len(paths))
    found = {place: known[path] for place, path in wanted.items() if path is not None}
    return Pixels(
        {place: digest for place, digest in found.items() if digest},
        missing=sum(path is None for path in wanted.values()),
        unreadable=sum(digest is None for digest in found.values()),
        blank=sum(digest == "" for digest in found.values()),
    )


def _files(lesions: Sequence[Lesion]) -> dict[Hashable, Path]:
    """Files by what a row says of its image."""
    files: dict[Hashable, Path] = {}
    for lesion in lesions:
        own, film = lesion.crop or lesion.full, lesion.full
        name = parse_image(lesion.id)
        if own is not None:
            files.setdefault(lesion.id, own)
            if name:
                files.setdefault((name.patient, name.side, name.view, name.kind, name.number), own)
                # where a row does not say what kind it is; every source has one kind
                files.setdefault((name.patient, name.side, name.view, None, name.number), own)
        if film is not None:
            files.setdefault(lesion.image, film)
            if name:
                files.setdefault((name.patient, name.side, name.view, None, None), film)
    return files


def _key(row: SplitRow) -> Hashable:
    if row.patient is not None and row.mammogram is not None:
        kind = row.kind if row.number is not None else None
        return row.patient, row.side, row.view, kind, row.number
    return row.image


def _digest(path: Path) -> str | None:
    """The digest; empty for a blank image, None for one that cannot be decoded."""
    try:
        pixels = read_image(path)
    except UnreadableImage:
        return None
    if pixels.min() == pixels.max():
        return ""
    return hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode() + pixels.tobytes()).hexdigest()
