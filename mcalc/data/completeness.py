"""How much of what a data set lists is there and readable."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mcalc.config import Region
from mcalc.data.records import (
    LOSING_DEFECTS,
    NEEDED_FILES,
    Defect,
    DefectKind,
    Index,
    has_needed_files,
)
from mcalc.errors import UserError

EXAMPLES = 3
"""Lesions that a message names before it says how many more there are."""

_NO_LESION = (DefectKind.BAD_VALUE, DefectKind.FULL_UNREADABLE)
"""Of a row, or of an image, of which no lesion could be made."""

_IN_WORDS = {
    Region.crop: "crop",
    Region.patch: "full image with its mask",
    Region.full: "full image",
}
"""The files that a region is made of, in words."""


def completeness(
    index: Index, found_later: Collection[Defect] = (), region: Region = Region.crop
) -> float:
    """Share (0..1) of the lesions listed whose files, of those the region needs, are there.

    Rows excluded because a value was not understood count as listed. `found_later`: defects met
    when pixels were decoded; lesions whose needed files were not readable then count as lost.
    """
    listed, lost = _listed_and_lost(index, found_later, region)
    # not 1 - lost / listed, whose last bit may miss a minimum that is met exactly
    return (listed - len(lost)) / listed if listed else 0.0


def check_completeness(
    index: Index, minimum: float, found_later: Collection[Defect] = (), region: Region = Region.crop
) -> None:
    """Raise UserError when `completeness` is below `minimum` (data.min_completeness, 0..1)."""
    share = completeness(index, found_later, region)
    if share >= minimum:
        return
    listed, lost = _listed_and_lost(index, found_later, region)
    # rounded down, or the value named would refuse this very download; four digits, as a partial
    # download may hold a few of thousands
    allowed = int(share * 10_000) / 10_000
    raise UserError(
        f"{len(lost)} of {listed} lesions listed have no readable {_IN_WORDS[region]} below "
        f"{index.root} ({_some(lost)}), so {share:.1%} are there: expected a share of at least "
        f"data.min_completeness={minimum:g}; complete the download, or allow it with "
        f"data.min_completeness={allowed:g}"
    )


def _listed_and_lost(
    index: Index, found_later: Collection[Defect], region: Region
) -> tuple[int, list[str]]:
    """How many lesions the source lists, and which of them give no image, in order."""
    known = {name for lesion in index.lesions for name in (lesion.id, lesion.image)}
    no_lesion = (defect.lesion for defect in index.ledger if defect.kind in _NO_LESION)
    excluded = [name for name in no_lesion if name not in known]
    fatal = {kind for name in NEEDED_FILES[region] for kind in LOSING_DEFECTS[name]}
    # a mammogram's defect is that of every lesion on it
    unreadable = {defect.lesion for defect in found_later if defect.kind in fatal}
    lost, met = [], []
    for lesion in index.lesions:
        if not has_needed_files(lesion, region):
            lost.append(lesion.id)
        elif not unreadable.isdisjoint((lesion.id, lesion.image)):
            met.append(lesion.id)
    return len(index.lesions) + len(excluded), [*lost, *met, *excluded]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more
