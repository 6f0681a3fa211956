"""The four case CSVs of CBIS-DDSM, calcifications and masses: whose each row is, and its verdict.

For counts over the whole data set. What training reads are calcifications alone (`case_csv`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from mcalc.csv_table import CsvRow, read_table
from mcalc.data.records import Pathology, Side, Split, View
from mcalc.data.sources.cbis_ddsm.case_csv import CSV_NAMES, MASS_CSV_NAMES
from mcalc.data.sources.cbis_ddsm.published_counts import PUBLISHED, PUBLISHED_MASSES
from mcalc.data.sources.paths import entries, first_file
from mcalc.errors import UserError, shown


class Kind(StrEnum):
    """What a row is about, as in the column `abnormality type`."""

    CALCIFICATION = "calcification"
    MASS = "mass"


NAMES = {Kind.CALCIFICATION: CSV_NAMES, Kind.MASS: MASS_CSV_NAMES}
"""The official file names."""

COLUMNS = (
    "patient_id", "left or right breast", "image view", "abnormality type", "pathology",
    "image file path",
)  # fmt: skip
"""Columns that are needed."""

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of one of the four CSVs."""

    kind: Kind
    split: Split
    patient: str
    side: Side
    view: View
    pathology: Pathology
    image: str
    """The mammogram as its path names it: `Calc-Training_P_00005_RIGHT_CC`. One film may have four
    such names, of calcifications and masses, training and test."""

    @property
    def malignant(self) -> bool:
        """Whether the verdict is malignant."""
        return self.pathology is Pathology.MALIGNANT


def read_all_cases(folders: Sequence[Path]) -> tuple[Case, ...]:
    """Every row of the four case CSVs, each in the first of the folders that has it.

    Names are found whatever their case. No row is left out: counts over a part of them would be
    taken for those of the data set.

    Raises UserError where a folder or one of the four files is missing, one is no such CSV, or has
    no rows, or a value is not understood.
    """
    places = " and ".join(map(str, folders))
    if not any(folder.is_dir() for folder in folders):
        raise UserError(
            f"{folders[0]} is no folder: name the one that holds the four case CSVs of CBIS-DDSM "
            "with data.csv_dir=PATH"
        )
    found = {
        (kind, split): first_file(folders, name)
        for kind, names in NAMES.items()
        for split, name in names.items()
    }
    missing = [NAMES[kind][split] for (kind, split), path in found.items() if path is None]
    if missing:
        for folder in filter(Path.is_dir, folders):
            entries(folder)  # one that may not be listed is not one without them
        raise UserError(
            f"{', '.join(missing)} not found in {places}: the four case CSVs of CBIS-DDSM, of "
            "calcifications and masses, are needed under their official names; name their folder "
            "with data.csv_dir=PATH"
        )
    cases: list[Case] = []
    for (kind, split), path in found.items():
        assert path is not None
        cases.extend(_read(path, kind, split))
    return tuple(cases)


def count_differences(cases: Sequence[Case]) -> tuple[str, ...]:
    """Where the rows of a CSV are not as many as published, in words."""
    published = {
        Kind.CALCIFICATION: {split: counts.rows for split, counts in PUBLISHED.items()},
        Kind.MASS: PUBLISHED_MASSES,
    }
    found = {
        (kind, split): sum(case.kind is kind and case.split is split for case in cases)
        for kind in Kind
        for split in Split
    }
    return tuple(
        f"{NAMES[kind][split]} has {rows} rows, where {published[kind][split]} are published"
        for (kind, split), rows in found.items()
        if rows != published[kind][split]
    )


def _read(path: Path, kind: Kind, split: Split) -> Iterator[Case]:
    empty = True
    for row in read_table(path, COLUMNS, remedy="download it again"):
        empty = False
        _chosen(path, row, "abnormality type", [kind])
        patient, image = row.values["patient_id"], row.values["image file path"]
        if not patient or not image:
            lacking = "image file path" if patient else "patient_id"
            raise _not_understood(path, row, lacking, "a value")
        yield Case(
            kind=kind,
            split=split,
            patient=patient,
            side=_chosen(path, row, "left or right breast", list(Side)),
            view=_chosen(path, row, "image view", list(View)),
            pathology=_chosen(path, row, "pathology", list(Pathology)),
            image=image.replace("\\", "/").split("/")[0],
        )
    if empty:
        raise UserError(f"{path} has a header but no rows: download it again")


def _chosen(path: Path, row: CsvRow, column: str, choices: Sequence[_Choice]) -> _Choice:
    text = "_".join(row.values[column].casefold().split())
    for choice in choices:
        if choice.value.casefold() == text:
            return choice
    raise _not_understood(path, row, column, " or ".join(choices))


def _not_understood(path: Path, row: CsvRow, column: str, expected: str) -> UserError:
    return UserError(
        f"{path} row {row.number}: {column} is {shown(row.values[column])}, expected {expected}: "
        "take the official case CSVs of CBIS-DDSM, as TCIA publishes them"
    )
