"""The index of a CBIS-DDSM download: every calcification of the case CSVs, and its files.

Curated Breast Imaging Subset of DDSM, licence CC BY 3.0: Lee et al. 2017, Scientific Data
4:170177; TCIA, doi 10.7937/k9/tcia.2016.7o02s9cy. The download is only ever read, in whichever of
its layouts (`layouts`), and everything found wrong with it goes to the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mcalc.config import CsvSplit, DataConfig, Region
from mcalc.data.images import ReadHeader, kept_headers, read_header
from mcalc.data.records import LOSING_DEFECTS, NEEDED_FILES, Defect, DefectKind, Index, Lesion
from mcalc.data.sources.cbis_ddsm.case_csv import CaseRow, find_csvs, read_cases
from mcalc.data.sources.cbis_ddsm.layouts import Layout
from mcalc.data.sources.cbis_ddsm.lesion_files import Finder
from mcalc.data.sources.cbis_ddsm.mass_patients import crossing_patients
from mcalc.data.sources.cbis_ddsm.published_counts import PUBLISHED, published_differences
from mcalc.data.sources.label_conflicts import label_conflicts
from mcalc.data.sources.paths import checked_root
from mcalc.data.sources.registry import Source
from mcalc.errors import UserError
from mcalc.iteration import Progress, with_progress


def read_index(
    root: Path,
    csv_dir: Path | None = None,
    csv_split: CsvSplit = CsvSplit.all,
    progress: Progress | None = None,
    region: Region = Region.crop,
    header_of: ReadHeader = read_header,
) -> Index:
    """Read the case CSVs below `root` (or in `csv_dir`) and find each lesion's files.

    One header is read for each lesion, more where crop and mask cannot be distinguished otherwise.
    Pixels are decoded only where headers leave a doubt (`crop_or_mask`). A lesion without its files
    stays in the index, with None in their place and a ledger row. `region` decides what the ledger
    says about missing files that are not needed. `progress` counts rows. `header_of` reads a
    header, or knows it.

    Raises UserError when the root is missing, not a folder or empty, when no case CSV is found or
    one is not usable (`case_csv`), and when not one lesion has a file in any known layout.
    """
    root = checked_root(root, "the folder of a CBIS-DDSM download")
    csvs = find_csvs(root, csv_dir, csv_split)
    rows: list[CaseRow] = []
    ledger: list[Defect] = []
    for split, path in csvs.items():
        found_rows, defects = read_cases(path, split)
        rows.extend(found_rows)
        ledger.extend(defects)
    crossing, unchecked = crossing_patients(rows, csvs)

    finder = Finder(root, csv_dir, header_of)
    lesions = [finder.lesion(row) for row in with_progress(rows, len(rows), progress)]
    if not finder.layouts:
        raise _nothing_found(finder, rows, list(csvs.values()))
    ledger.extend((*finder.ledger, *finder.respelled()))
    for what in ("mask", "full"):
        ledger.extend(_missing(lesions, what, region, ledger))
    ledger.extend(label_conflicts(lesions))
    ledger.extend(crossing)
    layout = "+".join(layout for layout in Layout if layout in finder.layouts)
    description = f"CBIS-DDSM calcifications ({layout} layout)"
    return Index(root, description, tuple(lesions), tuple(ledger), unchecked=unchecked)


def _missing(
    lesions: Sequence[Lesion], what: str, region: Region, ledger: Sequence[Defect]
) -> list[Defect]:
    """A row a lesion without its mask or full image, or one for all where no lesion has one.

    There is no second row where the ledger has a reason already. Nor is there one for a file that
    the region does not need, where the lesion's crop is missing too.
    """
    missing, *reasons = LOSING_DEFECTS[what]
    needed = what in NEEDED_FILES[region]
    known = {defect.lesion for defect in ledger if defect.kind in reasons}
    shown = [lesion for lesion in lesions if needed or lesion.crop is not None]
    lacking = [lesion for lesion in shown if getattr(lesion, what) is None]
    use = f"needed for data.region={region}"
    if lacking and len(lacking) == len(shown) and not known:
        action = f"{use}: no lesion can be used" if needed else "not needed"
        return [Defect("*", missing, f"none of {len(shown)} lesions has one", action)]
    action = f"{use}: lesion excluded" if needed else "not needed"
    others = [lesion.id for lesion in lacking if known.isdisjoint((lesion.id, lesion.image))]
    return [Defect(name, missing, "not on disk", action) for name in others]


def _nothing_found(finder: Finder, rows: Sequence[CaseRow], csvs: Sequence[Path]) -> UserError:
    unsafe = {defect.lesion for defect in finder.ledger if defect.kind is DefectKind.UNSAFE_PATH}
    example = next((row for row in rows if row.id not in unsafe), rows[0])
    note = f" ({len(unsafe)} of them have a path that leaves the data root)" if unsafe else ""
    listed = " and ".join(path.name for path in csvs)
    bases = ", ".join(map(str, finder.download.case_bases))
    series = example.crop_path.replace("\\", "/").split("/")[-2:-1] or ["SeriesInstanceUID"]
    return UserError(
        f"no layout of CBIS-DDSM recognised: not one of the {len(rows)} lesions of {listed}{note} "
        f"has a file below {bases}; expected for example {example.id}/*/*/*.dcm (legacy, NBIA), "
        f"{series[0]}/*.dcm (series) or jpeg/{series[0]}/*.jpg (Kaggle); name the folder that "
        "holds them with data.root=PATH"
    )


def _read(data: DataConfig, progress: Progress | None) -> Index:
    """The index of the settings' download, compared with the published counts."""
    csv_dir = Path(data.csv_dir).expanduser() if data.csv_dir else None
    with kept_headers(Path(data.cache)) as header_of:
        index = read_index(
            Path(data.root or ""), csv_dir, data.csv_split, progress, data.region, header_of
        )
    differences = published_differences(index.lesions, data.csv_split)
    return replace(index, ledger=(*index.ledger, *differences), published=PUBLISHED)


SOURCE = Source(
    "cbis_ddsm",
    "the folder of a CBIS-DDSM download (Kaggle, NBIA, series or legacy layout)",
    _read,
    reads_labels=False,
)
