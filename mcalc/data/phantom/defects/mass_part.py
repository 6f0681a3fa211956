"""The CSVs of CBIS-DDSM's mass part, with a patient who crosses the official splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcalc.data.phantom.case_csv import CsvRecord, write_csv
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.defects.target import ExpectedDefect, FoundBy
from mcalc.data.records import DefectKind, Split
from mcalc.data.sources.cbis_ddsm import MASS_CSV_NAMES

MASS_CSV_COLUMNS = (
    "patient_id",
    "breast_density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "mass shape",
    "mass margins",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
)
_ONLY_MASSES = "P_99999"
"""A patient of the mass part who has no calcifications."""


def plant_mass_part(
    root: Path, rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]
) -> list[ExpectedDefect]:
    """Mass CSVs in which a patient of the calcifications' training split is in the test split."""
    crossing = next(row for row in rows if row.split is Split.TRAIN)
    tables: dict[Split, list[str]] = {Split.TRAIN: [_ONLY_MASSES], Split.TEST: []}
    tables[Split.TEST].append(crossing.patient_id)
    pattern = records[crossing.lesion_case]
    for split, patients in tables.items():
        write_csv(
            root / MASS_CSV_NAMES[split],
            MASS_CSV_COLUMNS,
            [_mass_values(patient, split, pattern) for patient in patients],
        )
    return [ExpectedDefect(crossing.patient_id, DefectKind.PATIENT_CROSSES, FoundBy.INDEX)]


def _mass_values(patient: str, split: Split, pattern: CsvRecord) -> tuple[str, ...]:
    part = "Mass-Test" if split is Split.TEST else "Mass-Training"
    side, view = pattern["left or right breast"], pattern["image view"]
    image = f"{part}_{patient}_{side}_{view}"
    uids = "/".join(pattern["image file path"].replace("\\", "/").split("/")[1:3])
    return (
        patient,
        pattern["breast density"],
        side,
        view,
        "1",
        "mass",
        "OVAL",
        "CIRCUMSCRIBED",
        "4",
        "BENIGN",
        "4",
        f"{image}/{uids}/000000.dcm",
        f"{image}_1/{uids}/000000.dcm",
        f"{image}_1/{uids}/000001.dcm\n",
    )
