"""The case CSVs of CBIS-DDSM's calcifications: text rows to typed rows.

Source: Lee et al. 2017 (Scientific Data 4:170177), TCIA doi 10.7937/k9/tcia.2016.7o02s9cy. Quirks
of the published files that are met here: paths that end in a newline inside their quotes, `N/A` or
`NA` where there is no descriptor, density 0, `breast_density` for `breast density`, and after a
spreadsheet has been at them a byte order mark, other line ends and `4.0` for `4`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from mcalc.config import CsvSplit
from mcalc.csv_table import CsvRow, read_table
from mcalc.data.records import Defect, DefectKind, Lesion, Pathology, Side, Split, View
from mcalc.data.sources.paths import child, first_file
from mcalc.errors import UserError

CSV_NAMES = {
    Split.TRAIN: "calc_case_description_train_set.csv",
    Split.TEST: "calc_case_description_test_set.csv",
}
"""The official file names."""

MASS_CSV_NAMES = {
    Split.TRAIN: "mass_case_description_train_set.csv",
    Split.TEST: "mass_case_description_test_set.csv",
}
"""Of the other part of CBIS-DDSM; only the patients of it are ever read."""

_ID_PREFIX = {Split.TRAIN: "Calc-Training", Split.TEST: "Calc-Test"}

COLUMNS = (
    "patient_id", "breast density", "left or right breast", "image view", "abnormality id",
    "calc type", "calc distribution", "assessment", "pathology", "subtlety",
    "image file path", "cropped image file path", "ROI mask file path",
)  # fmt: skip
"""Columns that are needed."""

_KIND = "abnormality type"
"""A column that is looked at where there is one."""

_REMEDY = "download it again"

CALC_TYPES = frozenset((
    "AMORPHOUS", "COARSE", "DYSTROPHIC", "EGGSHELL", "FINE_LINEAR_BRANCHING", "LARGE_RODLIKE",
    "LUCENT_CENTER", "MILK_OF_CALCIUM", "PLEOMORPHIC", "PUNCTATE", "ROUND_AND_REGULAR", "SKIN",
    "VASCULAR",
))  # fmt: skip
_DISTRIBUTIONS = ("CLUSTERED", "DIFFUSELY_SCATTERED", "LINEAR", "REGIONAL", "SEGMENTAL")
CALC_DISTRIBUTIONS = frozenset(_DISTRIBUTIONS)
"""Every word of the published files: 13 types (one of them written in two ways) and 5
distributions."""

_SYNONYMS = {"LUCENT_CENTERED": "LUCENT_CENTER"}
"""The published files write one type in two ways: 44 and 196 times."""

_NOTHING = ("", "n/a", "na")

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow(Lesion):
    """One lesion as its CSV describes it, before any file is looked for."""

    split: Split
    full_path: str
    """As the CSV has it but for white space around it; `crop_path` and `mask_path` too."""
    crop_path: str
    mask_path: str


_Doubts = dict[str, str]
"""Values that are odd and yet no reason to leave their row out, each with what was done."""


class _BadValueError(Exception):
    """A value of one row that is not understood; the text says which and what was expected."""


def find_csvs(root: Path, csv_dir: Path | None, csv_split: CsvSplit) -> dict[Split, Path]:
    """The case CSVs to read, of those that exist: in `csv_dir` if given, else `root`, `root/csv`.

    Names are found whatever their case. With `CsvSplit.all` one of the two is enough. Raises
    UserError when none is found.
    """
    folders = [csv_dir] if csv_dir is not None else [root, child(root, "csv") or root / "csv"]
    wanted = [split for split in Split if csv_split in (CsvSplit.all, split.value)]
    found = {split: path for split in wanted if (path := first_file(folders, CSV_NAMES[split]))}
    if not found:
        names = " or ".join(CSV_NAMES[split] for split in wanted)
        raise UserError(
            f"no case CSV found: looked for {names} in {' and '.join(map(str, folders))}; name the "
            "folder that holds it with data.csv_dir=PATH"
        )
    return found


def read_cases(path: Path, split: Split) -> tuple[list[CaseRow], list[Defect]]:
    """The lesions of one case CSV in file order, and what was wrong with other rows.

    A row with a value that is not understood is excluded, with a BAD_VALUE row in the ledger. Two
    values may be odd, with a ledger row too: a breast density, which then counts as unknown, and a
    descriptor, which is kept as it is. A lesion's second row is excluded as DUPLICATE_ROW.

    Raises UserError when the file is not a CSV, lacks columns, or has no row that is understood.
    """
    rows: dict[str, CaseRow] = {}
    defects: list[Defect] = []
    number = 0
    table = read_table(path, COLUMNS, (_KIND,), keep_misfits=True, remedy=_REMEDY)
    # counted without the header and blank rows
    for number, record in enumerate(table, start=1):
        place = f"{path.name} row {number}"
        try:
            row, doubts = _case_row(record, split)
        except _BadValueError as bad:
            defects.append(Defect(place, DefectKind.BAD_VALUE, str(bad), "lesion excluded"))
            continue
        if row.id in rows:
            defects.append(_duplicate(row, rows[row.id], place))
            continue
        for odd, action in doubts.items():
            defects.append(Defect(row.id, DefectKind.BAD_VALUE, f"{place}: {odd}", action))
        rows[row.id] = row
    if not number:
        raise UserError(
            f"{path} has a header but no rows: expected one row a lesion; download it again"
        )
    if not rows:
        raise UserError(
            f"none of the {number} rows of {path} is understood (the first: "
            f"{defects[0].detail}): expected the official case CSV; download it again"
        )
    return list(rows.values()), defects


def read_patients(path: Path) -> set[str]:
    """The distinct `patient_id` of a case CSV, whatever its other columns.

    Raises UserError when the file is not a CSV or has no such column.
    """
    rows = read_table(path, ("patient_id",), keep_misfits=True, remedy=_REMEDY)
    return {patient for row in rows if (patient := row.values["patient_id"])}


def _case_row(row: CsvRow, split: Split) -> tuple[CaseRow, _Doubts]:
    """The typed row, and doubts about values that need not be known."""
    if row.misfit:
        raise _BadValueError(f"row has {row.misfit}")
    record = row.values
    if record[_KIND] and record[_KIND].casefold() != "calcification":
        raise _BadValueError(f"{_KIND} {record[_KIND]!r}: expected calcification")
    patient = record["patient_id"]
    # it becomes part of file and folder names
    if not re.fullmatch(r"[A-Za-z0-9_-]+", patient):
        raise _BadValueError(
            f"patient_id {patient!r}: expected letters, digits, - and _, as P_00005"
        )
    side = _choice(record, "left or right breast", Side)
    view = _choice(record, "image view", View)
    abnormality = _whole(record, "abnormality id", 1, 10_000)
    doubts: _Doubts = {}
    case = CaseRow(
        id=f"{_ID_PREFIX[split]}_{patient}_{side}_{view}_{abnormality}",
        patient=patient,
        side=side,
        view=view,
        abnormality=abnormality,
        density=_density(record, doubts),
        calc_types=_descriptors(record, "calc type", CALC_TYPES, doubts),
        calc_distributions=_descriptors(record, "calc distribution", CALC_DISTRIBUTIONS, doubts),
        assessment=_whole(record, "assessment", 0, 5),
        pathology=_choice(record, "pathology", Pathology),
        subtlety=_whole(record, "subtlety", 1, 5),
        split=split,
        full_path=record["image file path"],
        crop_path=record["cropped image file path"],
        mask_path=record["ROI mask file path"],
    )
    return case, doubts


def _choice(record: Mapping[str, str], column: str, choices: type[_Choice]) -> _Choice:
    text = "_".join(record[column].upper().split())
    try:
        return choices(text)
    except ValueError:
        expected = ", ".join(choices)
        raise _BadValueError(f"{column} {record[column]!r}: expected {expected}") from None


def _whole(record: Mapping[str, str], column: str, low: int, high: int) -> int:
    # `4.0` is what a spreadsheet or pandas makes of 4
    match = re.fullmatch(r"([0-9]{1,6})(\.0*)?", record[column])
    if match is None or not low <= int(match.group(1)) <= high:
        raise _BadValueError(
            f"{column} {record[column]!r}: expected a whole number {low} to {high}"
        )
    return int(match.group(1))


def _density(record: Mapping[str, str], doubts: _Doubts) -> int | None:
    """BI-RADS density; None for the published files' 0, for nothing, and with a doubt if odd."""
    if record["breast density"].casefold() in _NOTHING:
        return None
    try:
        return _whole(record, "breast density", 0, 4) or None
    except _BadValueError as odd:
        doubts[str(odd)] = "taken as unknown"
        return None


def _descriptors(
    record: Mapping[str, str], column: str, known: frozenset[str], doubts: _Doubts
) -> frozenset[str]:
    """`ROUND_AND_REGULAR-EGGSHELL` as a set of two, with a doubt for each unknown word."""
    text = record[column]
    if text.casefold() in _NOTHING:
        return frozenset()
    written = {"_".join(part.upper().split()) for part in text.split("-") if part.strip()}
    # N/A beside a descriptor is not one either
    words = {_SYNONYMS.get(word, word) for word in written if word.casefold() not in _NOTHING}
    for word in sorted(words - known):
        close = difflib.get_close_matches(word, sorted(known), n=1)
        expected = f"; nearest: {close[0]}" if close else ""
        doubts[f"{column} {word!r} is not a known descriptor{expected}"] = "kept as it is"
    return frozenset(words)


def _duplicate(row: CaseRow, first: CaseRow, place: str) -> Defect:
    names = [each.name for each in fields(CaseRow)]
    differing = [name for name in names if getattr(row, name) != getattr(first, name)]
    detail = f"differs in {', '.join(differing)}" if differing else "says the same"
    return Defect(row.id, DefectKind.DUPLICATE_ROW, f"{place} {detail}", "first row kept")
