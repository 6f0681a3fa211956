"""The user's images: class sub-folders, or a CSV that says what each file is.

Class folders: `<root>/benign/...` and `<root>/malignant/...`, files at any depth. The first folder
below the class is taken as the patient. A file that lies in the class folder itself has an unknown
one and counts as a separate patient, so that one patient may be trained on and reported.

CSV (data.labels=PATH): columns `path,label,patient`, and where known
`side,view,image,split,finding`; one row a file, its path relative to data.root.

With data.region=crop a file is a lesion's crop, with data.region=full a whole mammogram.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from mcalc.config import DataConfig, Region, Unit
from mcalc.csv_table import read_table
from mcalc.data.records import Defect, DefectKind, Index, Lesion, Pathology, Side, Split, View
from mcalc.data.sources.file_names import FileNames, shown
from mcalc.data.sources.label_conflicts import label_conflicts
from mcalc.data.sources.paths import (
    UnsafePath,
    checked_root,
    entries,
    files_below,
    is_file,
    is_image_file,
    safe_parts,
)
from mcalc.data.sources.registry import Source
from mcalc.errors import UserError
from mcalc.iteration import Progress, with_progress

_WORDS = {
    Pathology.BENIGN: ("benign", "b", "0", "negative"),
    Pathology.BENIGN_WITHOUT_CALLBACK: ("benign_without_callback",),
    Pathology.MALIGNANT: ("malignant", "m", "1", "positive", "cancer"),
}
CLASSES = {word: pathology for pathology, words in _WORDS.items() for word in words}
"""What a class folder or a label may be called, whatever its case; blanks count as `_`."""

_SIDES = {"l": Side.LEFT, "left": Side.LEFT, "r": Side.RIGHT, "right": Side.RIGHT}
_VIEWS = {"cc": View.CC, "mlo": View.MLO}
_SPLITS = {"train": Split.TRAIN, "training": Split.TRAIN, "test": Split.TEST}

_OPTIONAL = ("side", "view", "image", "split", "finding")

EXAMPLES = 3
"""Mistakes of a CSV, or folders, that a message names before it says how many more there are."""

_Word = TypeVar("_Word", bound=StrEnum)


def read_folder(data: DataConfig, progress: Progress | None = None) -> Index:
    """Index the files below data.root as `data.labels` or their class folders say.

    No image is opened. A file that a row names and that is not there stays in the index, with None
    and a ledger row. `progress` counts files.

    Raises UserError when root or CSV is missing, when a class folder or a value is not understood
    (with its row), when a path leaves the root, when nothing is found, and for settings that need
    what such a folder does not contain.
    """
    root = checked_root(Path(data.root or ""), SOURCE.what)
    if data.region is Region.patch:
        raise UserError(
            "data.region=patch needs full mammograms with masks, which data=folder does not know: "
            "take data.region=crop (a file is a crop) or data.region=full (a whole mammogram)"
        )
    ledger: list[Defect] = []
    unchecked: tuple[str, ...] = ()
    if data.labels:
        table = Path(data.labels).expanduser()
        found, described_by = _from_table(table, ledger), "table"
    else:
        found, unchecked = _from_class_folders(root, ledger)
        described_by = "class folders"
    _require_sides(found, data)
    files = _files_of(root, found, data.region, ledger)
    described = with_progress(found, len(found), progress)
    lesions = [_with_file(files[lesion.id], lesion, data.region) for lesion in described]
    ledger.extend(label_conflicts(lesions))
    notes = _unknown_patients(found, ledger)
    description = f"own images ({described_by})"
    return Index(root, description, tuple(lesions), tuple(ledger), notes, unchecked)


def _files_of(
    root: Path, found: Sequence[Lesion], region: Region, ledger: list[Defect]
) -> dict[str, Path | None]:
    """The file of each id; None, with a ledger row, where it is not there."""
    files: dict[str, Path | None] = {}
    for lesion in found:
        files[lesion.id] = root / lesion.id if is_file(root / lesion.id) else None
    taken = {path for path in files.values() if path is not None}
    names = FileNames(root)
    missing = DefectKind.FULL_MISSING if region is Region.full else DefectKind.CROP_MISSING
    for name in [name for name, path in files.items() if path is None]:
        # a file that another row names by its exact name is that row's
        alike = [path for path in names.alike(name.split("/")) if path not in taken]
        on_disk = [shown(path.relative_to(root).as_posix(), name) for path in alike]
        if len(alike) == 1:
            files[name] = alike[0]
            detail = f"on disk it is {on_disk[0]}"
            action = "taken: no other file has that name"
            ledger.append(Defect(name, DefectKind.NAME_DIFFERS, detail, action))
            continue
        detail = "no such file below the root"
        if alike:
            detail += f"; {len(alike)} have that name but for case and form: {', '.join(on_disk)}"
        elif near := names.nearest(name.split("/")):
            detail += f"; nearest: {near!r}"
        ledger.append(Defect(name, missing, detail, "lesion excluded"))
    return files


def _with_file(file: Path | None, lesion: Lesion, region: Region) -> Lesion:
    """The lesion with its file, and with what its folder or row left open: patient and image."""
    crop, full = (None, file) if region is Region.full else (file, None)
    patient, image = lesion.patient or lesion.id, lesion.mammogram or lesion.id
    return replace(lesion, patient=patient, mammogram=image, crop=crop, full=full)


def _require_sides(found: Sequence[Lesion], data: DataConfig) -> None:
    without = sum(lesion.side is None for lesion in found)
    if data.unit is Unit.breast and without:
        raise UserError(
            f"data.unit=breast needs the side of every image, and {without} of {len(found)} have "
            "none: add a column `side` (LEFT or RIGHT) to the CSV of data.labels, or take another "
            "data.unit"
        )


def _unknown_patients(found: Sequence[Lesion], ledger: list[Defect]) -> tuple[str, ...]:
    unknown = sum(not lesion.patient for lesion in found)
    if not unknown:
        return ()
    detail = f"{unknown} of {len(found)} files tell no patient"
    action = "each counts as a separate patient"
    ledger.append(Defect("*", DefectKind.PATIENT_UNKNOWN, detail, action))
    return (
        f"PATIENTS UNKNOWN for {unknown} of {len(found)} images: each counts as a separate "
        "patient, so images of one patient may be both trained on and reported, and results may be "
        "too good; name patients by a folder each below the class folders, or in a CSV "
        "(data.labels=PATH with columns path,label,patient)",
    )


def _from_class_folders(root: Path, ledger: list[Defect]) -> tuple[list[Lesion], tuple[str, ...]]:
    """Lesions without their file, `patient` empty where no folder names it; and a note, or none."""
    classes, strangers, loose = [], [], []
    for path in entries(root):
        if not path.is_dir():
            loose.append(path)
        elif (pathology := CLASSES.get(_word(path.name))) is not None:
            classes.append((path, pathology))
        else:
            strangers.append(path.name)
    if strangers or not classes:
        # of a download with thousands of folders the message stays a sentence
        more = f" and {len(strangers) - EXAMPLES} more" if len(strangers) > EXAMPLES else ""
        named = ", ".join(strangers[:EXAMPLES])
        here = f"has the folder(s) {named}{more}" if strangers else "has no class folder"
        raise UserError(
            f"data.root={root} {here}: expected one folder a class, called "
            f"{' or '.join(CLASSES)} (any case), or a CSV named by data.labels=PATH with columns "
            "path,label,patient"
        )
    found, others = [], 0
    for path in loose:
        if is_image_file(path):
            detail = "lies in no class folder"
            ledger.append(Defect(path.name, DefectKind.BAD_VALUE, detail, "excluded"))
    for folder, pathology in classes:
        for path in files_below(folder):
            if not is_image_file(path):
                others += 1
                continue
            inner = path.relative_to(folder).parts
            patient = inner[0] if len(inner) > 1 else ""
            name = path.relative_to(root).as_posix()
            found.append(Lesion(id=name, pathology=pathology, patient=patient))
    if not found:
        raise UserError(
            f"no image in the class folders of data.root={root}: expected DICOM, JPEG or PNG files"
        )
    skipped = f"{others} files that are neither DICOM, JPEG nor PNG were not looked at"
    return found, (skipped,) if others else ()


def _from_table(table: Path, ledger: list[Defect]) -> list[Lesion]:
    """Lesions without their file, `mammogram` None where the row names no image."""
    by_name: dict[str, tuple[int, Lesion]] = {}
    mistakes = []
    for row in read_table(table, ("path", "label", "patient"), _OPTIONAL):
        try:
            lesion = _lesion(row.values)
        except _BadValueError as bad:
            mistakes.append(f"row {row.number}: {bad}")
            continue
        first, known = by_name.setdefault(lesion.id, (row.number, lesion))
        if known != lesion:
            mistakes.append(f"row {row.number} differs from row {first} of the same file")
        elif first != row.number:
            detail = f"{table.name} row {row.number} says the same as row {first}"
            ledger.append(Defect(lesion.id, DefectKind.DUPLICATE_ROW, detail, "first row kept"))
    if mistakes:
        more = f"; and {len(mistakes) - EXAMPLES} more" if len(mistakes) > EXAMPLES else ""
        raise UserError(
            f"{table} (the header is row 1): {'; '.join(mistakes[:EXAMPLES])}{more}; correct the "
            "CSV"
        )
    if not by_name:
        raise UserError(f"{table} has a header but no rows: expected one row a file")
    return [lesion for _, lesion in by_name.values()]


class _BadValueError(Exception):
    """A value that is not understood; the text says which and what was expected."""


def _lesion(row: Mapping[str, str]) -> Lesion:
    expected = "expected a path relative to data.root"
    try:
        parts = safe_parts(row["path"])
    except UnsafePath:
        raise _BadValueError(f"path {row['path']!r} leaves the root: {expected}") from None
    if not parts:
        raise _BadValueError(f"no path: {expected}")
    if not row["patient"]:
        raise _BadValueError(
            "no patient: expected a name; images of one patient must not be split apart"
        )
    return Lesion(
        id="/".join(parts),
        pathology=_choice(row, "label", CLASSES),
        patient=row["patient"],
        side=_choice(row, "side", _SIDES) if row["side"] else None,
        view=_choice(row, "view", _VIEWS) if row["view"] else None,
        mammogram=row["image"] or None,
        split=_choice(row, "split", _SPLITS) if row["split"] else None,
        finding_id=row["finding"] or None,
    )


def _choice(row: Mapping[str, str], column: str, words: Mapping[str, _Word]) -> _Word:
    found = words.get(_word(row[column]))
    if found is None:
        raise _BadValueError(f"{column} {row[column]!r}: expected {' or '.join(words)}")
    return found


def _word(text: str) -> str:
    return "_".join(text.casefold().replace("-", " ").replace("_", " ").split())


SOURCE = Source("folder", "the folder of the images", read_folder)
