"""The index of a CBIS-DDSM download: every calcification of the case CSVs, and its files.

Curated Breast Imaging Subset of DDSM, licence CC BY 3.0: Lee et al. 2017, Scientific Data
4:170177; TCIA, doi 10.7937/k9/tcia.2016.7o02s9cy. The download is only ever read, in whichever of
its layouts (`mcalc.data.layouts`), and everything found wrong with it goes to the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcalc.config import CsvSplit
from mcalc.data.cases import CaseRow, find_csvs, read_cases
from mcalc.data.dicom import UnreadableImage, image_size
from mcalc.data.layouts import (
    CsvPath,
    Download,
    Layout,
    UnsafePath,
    entries,
    parse_csv_path,
    read_descriptions,
    shows_series,
)
from mcalc.data.records import Defect, DefectKind, Index, Lesion
from mcalc.data.roles import tell_apart
from mcalc.errors import UserError

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""

EXAMPLES = 3
"""Lesions that a message names before it says how many more there are."""

_KEPT = "lesion kept without a crop"


def read_index(
    root: Path,
    csv_dir: Path | None = None,
    csv_split: CsvSplit = CsvSplit.all,
    progress: Progress | None = None,
) -> Index:
    """Read the case CSVs below `root` (or in `csv_dir`) and find each lesion's files.

    Headers are read; pixels are decoded only where a crop cannot be told from its mask otherwise.
    A lesion without a crop stays in the index, with crop None and a ledger row.

    Raises UserError when the root is missing, no folder or empty, when no case CSV is found or one
    is not usable (`mcalc.data.cases`), and when not one lesion has a file in any known layout.
    """
    root = _checked_root(root)
    csvs = find_csvs(root, csv_dir, csv_split)
    rows: list[CaseRow] = []
    ledger: list[Defect] = []
    for split, path in csvs.items():
        found_rows, defects = read_cases(path, split)
        rows.extend(found_rows)
        ledger.extend(defects)

    finder = _Finder(root, csv_dir)
    lesions = []
    for done, row in enumerate(rows, start=1):
        lesions.append(finder.lesion(row))
        if progress:
            progress(done, len(rows))
    if not finder.layouts:
        raise _nothing_found(finder, rows, list(csvs.values()))
    ledger.extend(finder.ledger)
    ledger.extend(_missing(lesions, "mask", DefectKind.MASK_MISSING))
    ledger.extend(_missing(lesions, "full", DefectKind.FULL_MISSING))
    ledger.extend(_label_conflicts(lesions))
    layout = "+".join(layout for layout in Layout if layout in finder.layouts)
    return Index(root, layout, tuple(lesions), tuple(ledger))


def completeness(index: Index, found_later: Collection[Defect] = ()) -> float:
    """Share (0..1) of the lesions listed whose crop is there.

    Rows left out because a value was not understood count as listed. `found_later`: defects met
    when pixels were decoded; lesions whose crop was not readable then count as lost.
    """
    listed, lost = _listed_and_lost(index, found_later)
    # not 1 - lost / listed, whose last bit may miss a minimum that is met exactly
    return (listed - len(lost)) / listed if listed else 0.0


def check_completeness(index: Index, minimum: float, found_later: Collection[Defect] = ()) -> None:
    """Raise UserError when `completeness` is below `minimum` (data.min_completeness, 0..1)."""
    share = completeness(index, found_later)
    if share >= minimum:
        return
    listed, lost = _listed_and_lost(index, found_later)
    # rounded down, or the value named would refuse this very download; four digits, as a partial
    # download may hold a few of thousands
    allowed = int(share * 10_000) / 10_000
    raise UserError(
        f"{len(lost)} of {listed} lesions listed have no readable crop below {index.root} "
        f"({_some(lost)}), so {share:.1%} are there: expected a share of at least "
        f"data.min_completeness={minimum:g}; complete the download, or allow it with "
        f"data.min_completeness={allowed:g}"
    )


def _listed_and_lost(index: Index, found_later: Collection[Defect]) -> tuple[int, list[str]]:
    """How many lesions the CSVs list, and which of them give no image, in order."""
    known = {lesion.id for lesion in index.lesions}
    left_out = [
        defect.lesion
        for defect in index.ledger
        if defect.kind is DefectKind.BAD_VALUE and defect.lesion not in known
    ]
    unreadable = {
        defect.lesion for defect in found_later if defect.kind is DefectKind.CROP_UNREADABLE
    }
    lost = [each.id for each in index.lesions if each.crop is None or each.id in unreadable]
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


@dataclass(frozen=True, slots=True)
class _RowPaths:
    """The row's three paths, None where the CSV has none or an unsafe one."""

    crop: CsvPath | None
    mask: CsvPath | None
    full: CsvPath | None


class _Finder:
    """Finds the files of one row after another, keeping the ledger."""

    def __init__(self, root: Path, csv_dir: Path | None) -> None:
        self.download = Download(root)
        self.layouts: set[Layout] = set()
        self.ledger: list[Defect] = []
        self._root = root
        self._descriptions = read_descriptions(root, csv_dir)
        self._full: dict[str, Path | None] = {}

    def lesion(self, row: CaseRow) -> Lesion:
        paths = self._paths(row)
        crop, mask = self._crop_and_mask(row, paths)
        return Lesion(
            id=row.id,
            patient=row.patient,
            side=row.side,
            view=row.view,
            abnormality=row.abnormality,
            density=row.density,
            calc_types=row.calc_types,
            calc_distributions=row.calc_distributions,
            assessment=row.assessment,
            pathology=row.pathology,
            subtlety=row.subtlety,
            split=row.split,
            crop=crop,
            mask=mask,
            full=self._full_image(row, paths.full),
        )

    def _note(self, lesion: str, kind: DefectKind, detail: str, action: str) -> None:
        self.ledger.append(Defect(lesion, kind, detail, action))

    def _paths(self, row: CaseRow) -> _RowPaths:
        return _RowPaths(
            crop=self._safe(row, "cropped image file path", row.crop_path),
            mask=self._safe(row, "ROI mask file path", row.mask_path),
            full=self._safe(row, "image file path", row.full_path),
        )

    def _safe(self, row: CaseRow, column: str, text: str) -> CsvPath | None:
        try:
            return parse_csv_path(text) if text else None
        except UnsafePath:
            self._note(
                row.id,
                DefectKind.UNSAFE_PATH,
                f"{column} is absolute or climbs with '..'",
                _KEPT if column == "cropped image file path" else "path not followed",
            )
            return None

    def _crop_and_mask(self, row: CaseRow, paths: _RowPaths) -> tuple[Path | None, Path | None]:
        if paths.crop is None:
            if not row.crop_path:
                self._lost(row, DefectKind.CROP_MISSING, "the CSV names no crop")
            return None, None
        named = [path for path in (paths.crop, paths.mask) if path is not None]
        found = self.download.find(row.id, named)
        if found.layout is None:
            self._lost(
                row,
                DefectKind.CROP_MISSING,
                f"no file in a case folder {row.id} nor in jpeg/{paths.crop.series}",
            )
            return None, None
        self.layouts.add(found.layout)
        roles = tell_apart(found.files, self._described(found.files))
        if roles.crop is None:
            kind = DefectKind.CROP_UNREADABLE if roles.unreadable else DefectKind.CROP_MISSING
            self._lost(row, kind, self._relative(roles.problem or "no crop"))
        elif roles.mistagged or (paths.mask and _stands_as(roles.crop, paths.crop, paths.mask)):
            says = "its own description" if roles.mistagged else "the CSV"
            where = roles.crop.relative_to(self._root).as_posix()
            self._note(
                row.id,
                DefectKind.SWAPPED,
                f"{where} is the crop, where {says} calls it the mask",
                "put right",
            )
        return roles.crop, roles.mask

    def _lost(self, row: CaseRow, kind: DefectKind, detail: str) -> None:
        self._note(row.id, kind, detail, _KEPT)

    def _relative(self, message: str) -> str:
        return message.replace(f"{self._root}/", "")

    def _described(self, files: Sequence[Path]) -> Mapping[Path, str]:
        keyed = ((path, self._descriptions.get((path.parent.name, path.name))) for path in files)
        return {path: text for path, text in keyed if text}

    def _full_image(self, row: CaseRow, path: CsvPath | None) -> Path | None:
        """The mammogram, once for all lesions on it: the largest file where there are several."""
        if path is None:
            return None
        if row.image not in self._full:
            files = self.download.find(row.image, [path]).files
            self._full[row.image] = files[0] if len(files) == 1 else _largest(files)
        return self._full[row.image]


def _largest(files: Sequence[Path]) -> Path | None:
    sizes: dict[Path, int] = {}
    for path in files:
        try:
            width, height = image_size(path)
        except UnreadableImage:
            # no mammogram then; a lesson without one is in the ledger
            continue
        sizes[path] = width * height
    return max(sizes, key=sizes.__getitem__) if sizes else None


def _stands_as(file: Path, crop: CsvPath, mask: CsvPath) -> bool:
    """Whether the file found to be the crop stands where the CSV puts the mask."""
    if crop.series and mask.series and crop.series != mask.series:
        folder = file.parent
        return shows_series(folder, mask.series) and not shows_series(folder, crop.series)
    if crop.name is None or mask.name is None:
        return False
    stem = file.stem.casefold()
    return stem == Path(mask.name).stem.casefold() != Path(crop.name).stem.casefold()


def _missing(lesions: Sequence[Lesion], what: str, kind: DefectKind) -> list[Defect]:
    """A row a lesion, or one for all where the download holds none at all.

    Lesions without a crop have a row for that already.
    """
    shown = [lesion for lesion in lesions if lesion.crop is not None]
    lacking = [lesion for lesion in shown if getattr(lesion, what) is None]
    if lacking and len(lacking) == len(shown):
        return [Defect("*", kind, f"none of {len(shown)} lesions has one", "not needed: went on")]
    return [Defect(lesion.id, kind, "not on disk", "not needed: went on") for lesion in lacking]


def _label_conflicts(lesions: Sequence[Lesion]) -> list[Defect]:
    """One row for each image whose lesions differ in pathology."""
    by_image: dict[str, list[Lesion]] = defaultdict(list)
    for lesion in lesions:
        by_image[lesion.image].append(lesion)
    defects = []
    for image, group in by_image.items():
        if len({lesion.pathology for lesion in group}) > 1:
            labels = ", ".join(f"{lesion.abnormality} {lesion.pathology}" for lesion in group)
            both = len({lesion.label for lesion in group}) > 1
            action = "each lesion keeps its own label" if both else "all count as benign"
            defects.append(Defect(image, DefectKind.LABEL_CONFLICT, labels, action))
    return defects


def _nothing_found(finder: _Finder, rows: Sequence[CaseRow], csvs: Sequence[Path]) -> UserError:
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
