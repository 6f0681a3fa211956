"""The index of a CBIS-DDSM download: every calcification of the case CSVs, and its files.

Curated Breast Imaging Subset of DDSM, licence CC BY 3.0: Lee et al. 2017, Scientific Data
4:170177; TCIA, doi 10.7937/k9/tcia.2016.7o02s9cy. The download is only ever read, in whichever of
its layouts (`layouts`), and everything found wrong with it goes to the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from mcalc.config.schema import CsvSplit, Region
from mcalc.data.records import (
    NEEDED_FILES,
    Defect,
    DefectKind,
    Index,
    Lesion,
    has_needed_files,
)
from mcalc.data.sources.cbis_ddsm.case_csv import CaseRow, find_csvs, read_cases
from mcalc.data.sources.cbis_ddsm.layouts import Layout, entries
from mcalc.data.sources.cbis_ddsm.lesion_files import Finder
from mcalc.data.sources.cbis_ddsm.mass_patients import crossing_patients
from mcalc.data.sources.label_conflicts import label_conflicts
from mcalc.errors import UserError

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""

EXAMPLES = 3
"""Lesions that a message names before it says how many more there are."""

_DEFECTS = {
    "crop": (DefectKind.CROP_MISSING, DefectKind.CROP_UNREADABLE),
    "full": (DefectKind.FULL_MISSING, DefectKind.FULL_UNREADABLE),
    "mask": (DefectKind.MASK_MISSING, DefectKind.MASK_UNREADABLE, DefectKind.MASK_EMPTY),
}
"""By a lesion's file, the defects that take it away."""

_NO_LESION = (DefectKind.BAD_VALUE, DefectKind.FULL_UNREADABLE)
"""Of a row, or of an image, of which no lesion could be made."""

_NEEDED = {
    Region.crop: "crop",
    Region.patch: "full image with its mask",
    Region.full: "full image",
}
"""What a region is made of, in words."""


def read_index(
    root: Path,
    csv_dir: Path | None = None,
    csv_split: CsvSplit = CsvSplit.all,
    progress: Progress | None = None,
    region: Region = Region.crop,
) -> Index:
    """Read the case CSVs below `root` (or in `csv_dir`) and find each lesion's files.

    One header a lesion is read, more where a crop cannot be told from its mask otherwise, and
    pixels are decoded only where headers leave a doubt (`crop_or_mask`). A lesion without its
    files stays in the index, with None in their place and a ledger row; `region` decides what the
    ledger says of files that are missing and of no use.

    Raises UserError when the root is missing, no folder or empty, when no case CSV is found or one
    is not usable (`case_csv`), and when not one lesion has a file in any known layout.
    """
    root = _checked_root(root)
    csvs = find_csvs(root, csv_dir, csv_split)
    rows: list[CaseRow] = []
    ledger: list[Defect] = []
    for split, path in csvs.items():
        found_rows, defects = read_cases(path, split)
        rows.extend(found_rows)
        ledger.extend(defects)
    crossing, unchecked = crossing_patients(rows, csvs)

    finder = Finder(root, csv_dir)
    lesions = []
    for done, row in enumerate(rows, start=1):
        lesions.append(finder.lesion(row))
        if progress:
            progress(done, len(rows))
    if not finder.layouts:
        raise _nothing_found(finder, rows, list(csvs.values()))
    ledger.extend(finder.ledger)
    for what in ("mask", "full"):
        ledger.extend(_missing(lesions, what, region, ledger))
    ledger.extend(label_conflicts(lesions))
    ledger.extend(crossing)
    layout = "+".join(layout for layout in Layout if layout in finder.layouts)
    return Index(root, layout, tuple(lesions), tuple(ledger), unchecked=unchecked)


def completeness(
    index: Index, found_later: Collection[Defect] = (), region: Region = Region.crop
) -> float:
    """Share (0..1) of the lesions listed whose files, of those the region needs, are there.

    Rows left out because a value was not understood count as listed. `found_later`: defects met
    when pixels were decoded; lesions whose needed files were not readable then count as lost.
    """
    listed, lost = _listed_and_lost(index, found_later, region)
    # not 1 - lost / listed, whose last bit may miss a minimum that is met exactly
    return (listed - len(lost)) / listed if listed else 0.0


def check_completeness(
    index: Index,
    minimum: float,
    found_later: Collection[Defect] = (),
    region: Region = Region.crop,
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
        f"{len(lost)} of {listed} lesions listed have no readable {_NEEDED[region]} below "
        f"{index.root} ({_some(lost)}), so {share:.1%} are there: expected a share of at least "
        f"data.min_completeness={minimum:g}; complete the download, or allow it with "
        f"data.min_completeness={allowed:g}"
    )


def _listed_and_lost(
    index: Index, found_later: Collection[Defect], region: Region
) -> tuple[int, list[str]]:
    """How many lesions the source lists, and which of them give no image, in order."""
    known = {lesion.id for lesion in index.lesions}
    known |= {lesion.image for lesion in index.lesions}
    left_out = [
        defect.lesion
        for defect in index.ledger
        if defect.kind in _NO_LESION and defect.lesion not in known
    ]
    lost = [lesion.id for lesion in index.lesions if not has_needed_files(lesion, region)]
    fatal = {kind for name in NEEDED_FILES[region] for kind in _DEFECTS[name]}
    # a mammogram's defect is that of every lesion on it
    unreadable = {defect.lesion for defect in found_later if defect.kind in fatal}
    met = set(lost)
    lost.extend(
        lesion.id
        for lesion in index.lesions
        if lesion.id not in met and not unreadable.isdisjoint((lesion.id, lesion.image))
    )
    return len(index.lesions) + len(left_out), [*lost, *left_out]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


def _checked_root(root: Path) -> Path:
    root = root.expanduser().absolute()
    if not root.exists():
        raise UserError(
            f"data.root={root} does not exist: expected the folder of a CBIS-DDSM download; check "
            "the path"
        )
    if not root.is_dir():
        raise UserError(
            f"data.root={root} is a file: expected the folder of a CBIS-DDSM download; unpack it "
            "and name the folder"
        )
    if not entries(root):
        raise UserError(
            f"data.root={root} is empty: expected the folder of a CBIS-DDSM download; check the "
            "path, or that its disk is mounted"
        )
    return root


def _missing(
    lesions: Sequence[Lesion], what: str, region: Region, ledger: Sequence[Defect]
) -> list[Defect]:
    """A row a lesion without its mask or full image, or one for all where no lesion has one.

    Lesions have no second row where the ledger says already why the file is not there, nor for a
    file that the region does not need where their crop is missing too.
    """
    kind, *others = _DEFECTS[what]
    needed = what in NEEDED_FILES[region]
    told = {defect.lesion for defect in ledger if defect.kind in others}
    shown = [lesion for lesion in lesions if needed or lesion.crop is not None]
    lacking = [lesion for lesion in shown if getattr(lesion, what) is None]
    use = f"needed for data.region={region}"
    if lacking and len(lacking) == len(shown) and not told:
        action = f"{use}: no lesion can be used" if needed else "not needed: went on"
        return [Defect("*", kind, f"none of {len(shown)} lesions has one", action)]
    action = f"{use}: lesion left out" if needed else "not needed: went on"
    return [
        Defect(lesion.id, kind, "not on disk", action)
        for lesion in lacking
        if told.isdisjoint((lesion.id, lesion.image))
    ]


def _nothing_found(finder: Finder, rows: Sequence[CaseRow], csvs: Sequence[Path]) -> UserError:
    unsafe = {defect.lesion for defect in finder.ledger if defect.kind is DefectKind.UNSAFE_PATH}
    example = next((row for row in rows if row.id not in unsafe), rows[0])
    note = f" ({len(unsafe)} of them have a path that leaves the data root)" if unsafe else ""
    listed = " and ".join(path.name for path in csvs)
    bases = ", ".join(str(base) for base in finder.download.case_bases)
    series = example.crop_path.replace("\\", "/").split("/")[-2:-1] or ["SeriesInstanceUID"]
    return UserError(
        f"no layout of CBIS-DDSM recognised: not one of the {len(rows)} lesions of {listed}{note} "
        f"has a file below {bases}; expected for example {example.id}/*/*/*.dcm (legacy, NBIA) or "
        f"jpeg/{series[0]}/*.jpg (Kaggle); name the folder that holds them with data.root=PATH"
    )
