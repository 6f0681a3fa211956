"""Patients of CBIS-DDSM whose calcifications and masses are in different official splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mcalc.data.records import Defect, DefectKind, Split
from mcalc.data.sources.cbis_ddsm.case_csv import MASS_CSV_NAMES, CaseRow, read_patients
from mcalc.data.sources.paths import first_file
from mcalc.errors import UserError
from mcalc.iteration import grouped


def crossing_patients(
    rows: Sequence[CaseRow], csvs: Mapping[Split, Path]
) -> tuple[list[Defect], tuple[str, ...]]:
    """A row for each patient whose calcifications and masses are in different official splits.

    Also returns, in words, what could not be checked because mass CSVs are not beside `csvs`; they
    are optional. Of the masses only patients are read.
    """
    folders = dict.fromkeys(path.parent for path in csvs.values())
    of_masses: dict[Split, set[str]] = {}
    for split, name in MASS_CSV_NAMES.items():
        # of no use beyond this check: a damaged one must not stop the calcifications
        with suppress(UserError):
            if path := first_file(folders, name):
                of_masses[split] = read_patients(path)
    defects = []
    for patient, group in grouped(rows, lambda row: row.patient).items():
        here = {row.split for row in group}
        there = {split for split, patients in of_masses.items() if patient in patients}
        if len(here | there) > 1:
            detail = f"calcifications: {_names(here)}; masses: {_names(there) or 'none'}"
            action = "kept: only calcifications are read"
            defects.append(Defect(patient, DefectKind.PATIENT_CROSSES, detail, action))
    absent = [name for split, name in MASS_CSV_NAMES.items() if split not in of_masses]
    if not absent:
        return defects, ()
    return defects, (
        "patients that cross the official splits of calcifications and masses: "
        f"{', '.join(absent)} not beside the case CSVs, or not readable",
    )


def _names(splits: Collection[Split]) -> str:
    return " and ".join(split.value for split in Split if split in splits)
