"""The Chinese Mammography Database (CMMD): its clinical table, and its tree of full mammograms.

Cui et al. 2021, TCIA, doi 10.7937/tcia.eqde-4b16, licence CC BY 4.0. The table
(`CMMD_clinicaldata_revision`, a spreadsheet that has to be saved as CSV) has a row a breast:
`ID1, LeftRight, Age, number, abnormality, classification, subtype`, with what biopsy found. Images
lie in `CMMD/D1-0001/<date>-NA-NA-<n>/1.000000-NA-<n>/1-1.dcm`, four a patient or the two of one
breast. Only a file's tags say which breast and view it shows.

A record here is one image of a breast with calcification, labelled as the breast: CMMD marks no
lesions, so there are no crops and no masks.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.config import DataConfig, Region
from mcalc.csv_table import read_table
from mcalc.data.images import UnreadableImage
from mcalc.data.records import Defect, DefectKind, Index, Lesion, Pathology, Side, View
from mcalc.data.sources.paths import checked_root, data_folders, entries, image_files, subfolders
from mcalc.data.sources.registry import Source
from mcalc.errors import UserError
from mcalc.iteration import Progress, grouped, with_progress

if TYPE_CHECKING:
    from mcalc.data.images.dicom_tags import Tags

TABLE = "CMMD_clinicaldata_revision"
"""How the clinical table's name begins."""

_TAGS = ["ImageLaterality", "Laterality", "ViewPosition", "ViewCodeSequence"]
"""All that is ever loaded of a header here."""

_VIEW_CODES = {"399162004": View.CC, "399368009": View.MLO, "R-10242": View.CC, "R-10226": View.MLO}
"""Of DICOM's context group 4014: SNOMED CT, and SNOMED-RT as older files have it."""

_SIDES = {"L": Side.LEFT, "R": Side.RIGHT}
_WITH_CALCIFICATION = ("calcification", "both")
_WITHOUT = ("mass",)


@dataclass(frozen=True, slots=True)
class _Breast:
    """A row of the clinical table."""

    patient: str
    side: Side
    abnormality: str
    pathology: Pathology
    images: int | None
    """How many images the table says there are; None where it does not."""
    finding: str | None
    """What its images show; None where the table has no such column."""

    @property
    def name(self) -> str:
        return f"CMMD_{self.patient}_{self.side}"


def read_cmmd(data: DataConfig, progress: Progress | None = None) -> Index:
    """Index every image of the breasts with calcification; headers are read, no pixels.

    Breasts with a mass alone are excluded, each with a ledger row. A breast of which no image is on
    disk stays in the index as one record without a file. `progress` counts patients.

    Raises UserError when root or table is missing, when the table is not usable, when no patient
    folder is found, and for a region other than `full`.
    """
    if data.region is not Region.full:
        raise UserError(
            f"data.region={data.region} needs crops or masks, which CMMD has none of: take "
            "data.region=full with data.unit=breast (labels are of breasts), image or patient"
        )
    root = checked_root(Path(data.root or ""), SOURCE.what)
    csv_dir = Path(data.csv_dir).expanduser() if data.csv_dir else None
    ledger: list[Defect] = []
    breasts = _read_breasts(_find_table(root, csv_dir), ledger)
    # several of one patient where a download was resumed into a second manifest folder
    below = subfolders(data_folders(root, "CMMD"))
    patients = (folder for folder in below if re.fullmatch(r"D[0-9]-[0-9]+", folder.name))
    folders = grouped(patients, lambda folder: folder.name)
    if not folders:
        raise UserError(
            f"no patient folder of CMMD below {root}: expected folders like CMMD/D1-0001; name the "
            "folder that holds CMMD with data.root=PATH"
        )
    lesions: list[Lesion] = []
    of_patient = grouped(breasts, lambda breast: breast.patient)
    for patient, group in with_progress(of_patient.items(), len(of_patient), progress):
        shown = _images_by_side(root, folders.get(patient, []), ledger)
        for breast in group:
            lesions.extend(_lesions(breast, shown.get(breast.side, []), ledger))
    both = sum(breast.abnormality == "both" for breast in breasts)
    note = (
        "labels are of breasts, not of lesions"
        + f": {both} of {len(breasts)} breasts with calcification have a mass too" * bool(both)
    )
    description = "CMMD calcifications (cmmd layout)"
    return Index(root, description, tuple(lesions), tuple(ledger), notes=(note,))


def _find_table(root: Path, csv_dir: Path | None) -> Path:
    folders = [csv_dir] if csv_dir is not None else [*data_folders(root, "CMMD"), root.parent]
    there = (path for folder in folders if folder.is_dir() for path in entries(folder))
    named = [path for path in there if path.name.casefold().startswith(TABLE.casefold())]
    for path in named:
        if path.suffix.casefold() == ".csv":
            return path
    remedy = "open it in a spreadsheet program, save it as CSV (UTF-8)"
    if named:
        raise UserError(
            f"{named[0]} is a spreadsheet, which is not read: {remedy} beside it, as {TABLE}.csv"
        )
    raise UserError(
        f"no clinical table {TABLE}.csv in {' or '.join(map(str, folders))}: TCIA publishes it as "
        f"{TABLE}.xlsx; {remedy}, and name its folder with data.csv_dir=PATH if it is elsewhere"
    )


def _read_breasts(table: Path, ledger: list[Defect]) -> list[_Breast]:
    """The breasts with calcification, in the table's order, each once."""
    found: dict[str, _Breast] = {}
    needed = ("ID1", "LeftRight", "abnormality", "classification")
    rows = list(read_table(table, needed, ("number", "finding")))
    for row in rows:
        place = f"{table.name} row {row.number}"
        breast, problem = _breast(row.values)
        if breast is None:
            ledger.append(Defect(place, DefectKind.BAD_VALUE, problem, "breast excluded"))
        elif breast.name in found:
            detail = f"{place} {'says the same' if found[breast.name] == breast else 'differs'}"
            ledger.append(Defect(breast.name, DefectKind.DUPLICATE_ROW, detail, "first row kept"))
        else:
            found[breast.name] = breast
    breasts = [each for each in found.values() if each.abnormality in _WITH_CALCIFICATION]
    for each in found.values():
        if each.abnormality in _WITHOUT:
            detail = f"abnormality: {each.abnormality}"
            action = "excluded: no calcification"
            ledger.append(Defect(each.name, DefectKind.EXCLUDED, detail, action))
    if not breasts:
        raise UserError(
            f"{table} lists no breast with calcification in its {len(rows)} rows: expected CMMD's "
            "clinical table; save it as CSV again"
        )
    return breasts


def _breast(row: Mapping[str, str]) -> tuple[_Breast | None, str]:
    """The row's breast, or None and what is not understood."""
    patient = row["ID1"]
    # it becomes part of file and folder names
    if not re.fullmatch(r"[A-Za-z0-9_-]+", patient):
        return None, f"ID1 {patient!r}: expected a patient as D1-0001"
    side = _SIDES.get(row["LeftRight"].upper())
    if side is None:
        return None, f"LeftRight {row['LeftRight']!r}: expected L or R"
    abnormality = row["abnormality"].casefold()
    if abnormality not in (*_WITH_CALCIFICATION, *_WITHOUT):
        expected = ", ".join((*_WITH_CALCIFICATION, *_WITHOUT))
        return None, f"abnormality {row['abnormality']!r}: expected {expected}"
    classes = {"benign": Pathology.BENIGN, "malignant": Pathology.MALIGNANT}
    pathology = classes.get(row["classification"].casefold())
    if pathology is None:
        return None, f"classification {row['classification']!r}: expected Benign or Malignant"
    number = re.fullmatch(r"([0-9]{1,3})(\.0*)?", row["number"])
    images = int(number.group(1)) if number else None
    return _Breast(patient, side, abnormality, pathology, images, row["finding"] or None), ""


def _images_by_side(
    root: Path, folders: Sequence[Path], ledger: list[Defect]
) -> dict[Side, list[tuple[View | None, Path]]]:
    """A patient's images, each once, by path; those that do not say their side go to the ledger."""
    shown: dict[Side, list[tuple[View | None, Path]]] = defaultdict(list)
    seen = set()
    for folder in folders:
        for path in image_files(folder, depth=3):
            inner = path.relative_to(folder)
            if inner in seen:
                continue
            seen.add(inner)
            where = path.relative_to(root).as_posix()
            try:
                side, view = _side_and_view(path)
            except UnreadableImage as error:
                detail = str(error).replace(str(path), where)
                ledger.append(Defect(where, DefectKind.FULL_UNREADABLE, detail, "excluded"))
                continue
            if side is None:
                detail = "its tags do not say which breast it shows"
                ledger.append(Defect(where, DefectKind.BAD_VALUE, detail, "excluded"))
                continue
            shown[side].append((view, path))
    return shown


def _side_and_view(path: Path) -> tuple[Side | None, View | None]:
    """Raises UnreadableImage."""
    from mcalc.data.images.dicom_tags import read_tags  # late: pydicom

    tags = read_tags(path, _TAGS)
    text = tags.text("ImageLaterality") or tags.text("Laterality")
    return _SIDES.get(text.upper()), _view(tags)


def _view(tags: Tags) -> View | None:
    """None for a view that is neither CC nor MLO, or is not recorded."""
    position = tags.text("ViewPosition").upper()
    if position in list(View):
        return View(position)
    codes = tags.items("ViewCodeSequence")
    return _VIEW_CODES.get(codes[0].text("CodeValue")) if codes else None


def _lesions(
    breast: _Breast, images: Sequence[tuple[View | None, Path]], ledger: list[Defect]
) -> list[Lesion]:
    if breast.images is not None and images and len(images) != breast.images:
        detail = f"{len(images)} images on disk, {breast.images} in the clinical table"
        action = "those on disk are used"
        ledger.append(Defect(breast.name, DefectKind.COUNT_DIFFERS, detail, action))
    blank = Lesion(
        id=breast.name,
        patient=breast.patient,
        side=breast.side,
        pathology=breast.pathology,
        mammogram=breast.name,
        finding_id=breast.finding,
    )
    if not images:
        detail = "no image of this breast on disk"
        ledger.append(Defect(breast.name, DefectKind.FULL_MISSING, detail, "breast excluded"))
        return [blank]
    number: Counter[View | None] = Counter()
    lesions = []
    for view, path in images:
        number[view] += 1
        # a second image of one view is another mammogram, not another lesion on the first
        name = f"{breast.name}_{view or 'OTHER'}_{number[view]}"
        lesions.append(replace(blank, id=name, view=view, full=path, mammogram=name))
    return lesions


SOURCE = Source("cmmd", "the folder of a CMMD download", read_cmmd, reads_labels=False)
