"""What stands on both sides of two parts of a split: pure counts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mcalc.data.splits.checking.parts import FOLDS, is_fold, ordered
from mcalc.data.splits.checking.rows import SplitRow

SAME: dict[str, Callable[[SplitRow], Hashable | None]] = {
    "same image": lambda row: row.image,
    "same mammogram": lambda row: row.mammogram,
    "same finding": lambda row: row.finding,
    "same breast": lambda row: row.breast,
    "same patient": lambda row: row.patient,
}
"""What two rows may have in common; None where a row does not say."""
OTHER_VIEW = "finding in other view"
PIXELS = "identical pixels"


@dataclass(frozen=True, slots=True)
class Overlap:
    """One thing that two parts have in common."""

    level: str
    """A key of `SAME`, `OTHER_VIEW` (of one finding) or `PIXELS` (under two names)."""
    shared: tuple[str, ...]
    """What stands on both sides, by name, in the order of the held-out rows."""
    rows: int
    """Held-out rows that it concerns."""
    known: int
    """Held-out rows that could be compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two parts of a split; what is held out should be new to who has seen the other."""

    before: str
    held_out: str
    total: int
    """Rows of the held-out part."""
    overlaps: tuple[Overlap, ...]
    """Worst first."""

    @property
    def leaks(self) -> bool:
        """Whether anything stands on both sides."""
        return any(overlap.rows for overlap in self.overlaps)


def compare(
    rows: Sequence[SplitRow], pixels: Mapping[int, str] | None = None
) -> tuple[Comparison, ...]:
    """Every two parts, the later one held out; of folds each is held out of the others in turn.

    `pixels`: digest of its image by a row's place in `rows`, of those whose image was decoded;
    None where none were looked for.
    """
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.part is not None:
            places.setdefault(row.part, []).append(place)
    found = []
    for (before, first), (held_out, second) in _pairs(ordered(places)):
        here = [place for part in first for place in places[part]]
        there = [place for part in second for place in places[part]]
        overlaps = tuple(_overlaps(rows, here, there, pixels))
        found.append(Comparison(before, held_out, len(there), overlaps))
    return tuple(found)


_Group = tuple[str, list[str]]
"""A name, and the parts that it stands for."""


def _pairs(parts: Sequence[str]) -> Iterator[tuple[_Group, _Group]]:
    folds = [part for part in parts if is_fold(part)]
    for fold in folds:
        if others := [other for other in folds if other != fold]:
            yield ("other folds", others), (fold, [fold])
    groups: dict[str, list[str]] = {}
    for part in parts:
        groups.setdefault(FOLDS if is_fold(part) else part, []).append(part)
    yield from combinations(groups.items(), 2)


def _overlaps(
    rows: Sequence[SplitRow],
    before: Sequence[int],
    held_out: Sequence[int],
    pixels: Mapping[int, str] | None,
) -> Iterator[Overlap]:
    for level, key in SAME.items():
        if level == "same breast":
            yield _other_views(rows, before, held_out)
        seen = {key(rows[place]) for place in before} - {None}
        keys = {place: key(rows[place]) for place in held_out}
        yield _overlap(
            level, rows, [place for place in held_out if keys[place] in seen], keys, level
        )
        if level == "same image" and pixels is not None:
            yield _same_pixels(rows, before, held_out, pixels)


def _other_views(
    rows: Sequence[SplitRow], before: Sequence[int], held_out: Sequence[int]
) -> Overlap:
    """Findings of which one view is held out and the other one is not."""
    views: dict[Hashable, set[object]] = {}
    for place in before:
        row = rows[place]
        if row.finding is not None and row.view is not None:
            views.setdefault(row.finding, set()).add(row.view)
    keys = {place: rows[place].finding for place in held_out}
    concerned = [
        place
        for place in held_out
        if rows[place].view is not None and views.get(keys[place], set()) - {rows[place].view}
    ]
    return _overlap(OTHER_VIEW, rows, concerned, keys, "same finding")


def _same_pixels(
    rows: Sequence[SplitRow],
    before: Sequence[int],
    held_out: Sequence[int],
    pixels: Mapping[int, str],
) -> Overlap:
    """Images with the pixels of one that has another name."""
    names: dict[str, set[Hashable | None]] = {}
    for place in before:
        if place in pixels:
            names.setdefault(pixels[place], set()).add(rows[place].image)
    keys: dict[int, Hashable | None] = {place: pixels.get(place) for place in held_out}
    concerned = [
        place
        for place in held_out
        if place in pixels and names.get(pixels[place], set()) - {rows[place].image}
    ]
    return _overlap(PIXELS, rows, concerned, keys, "same image")


def _overlap(
    level: str,
    rows: Sequence[SplitRow],
    concerned: Sequence[int],
    keys: Mapping[int, Hashable | None],
    named: str,
) -> Overlap:
    """`keys`: of each held-out row, what is compared; `named`: what of a row its name shows."""
    shared = dict.fromkeys(keys[place] for place in concerned)
    first = {keys[place]: place for place in reversed(concerned)}
    return Overlap(
        level,
        tuple(_name(rows[first[key]], named) for key in shared),
        len(concerned),
        sum(key is not None for key in keys.values()),
    )


def _name(row: SplitRow, named: str) -> str:
    parts = {
        "same patient": (row.patient,),
        "same breast": (row.patient, row.side),
        "same mammogram": (row.patient, row.side, row.view),
        "same finding": (row.patient, row.side, row.number),
    }
    if named not in parts:
        return row.name
    return "_".join(str(part) for part in parts[named] if part is not None)
