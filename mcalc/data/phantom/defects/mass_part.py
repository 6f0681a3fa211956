"""The CSVs of CBIS-DDSM's mass part, with a patient who crosses the official splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcalc.data.phantom.case_csv import CSV_COLUMNS, CsvRecord, write_csv
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.defects.target import ExpectedDefect, FoundBy
from mcalc.data.records import DefectKind, Split
from mcalc.data.sources.cbis_ddsm import MASS_CSV_NAMES

_CALLED = {
    "breast density": "breast_density",
    "calc type": "mass shape",
    "calc distribution": "mass margins",
}
MASS_CSV_COLUMNS = tuple(_CALLED.get(column, column) for column in CSV_COLUMNS)
"""Those of the calcification CSVs, three of them by other names."""
_ONLY_MASSES = "P_99999"
"""A patient of the mass part who has no calcifications."""


def plant_mass_part(
    root: Path, rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]
) -> list[ExpectedDefect]:
    """Mass CSVs in which a patient of the calcifications' training split is in the test split."""
    crossing = next(row for row in rows if row.split is Split.TRAIN)
    pattern = records[crossing.lesion_case]
    for split, patient in ((Split.TRAIN, _ONLY_MASSES), (Split.TEST, crossing.patient_id)):
        row = _mass_values(patient, split, pattern)
        write_csv(root / MASS_CSV_NAMES[split], MASS_CSV_COLUMNS, [row])
    return [ExpectedDefect(crossing.patient_id, DefectKind.PATIENT_CROSSES, FoundBy.INDEX)]


def _mass_values(patient: str, split: Split, pattern: CsvRecord) -> tuple[str, ...]:
    part = "Mass-Test" if split is Split.TEST else "Mass-Training"
    side, view = pattern["left or right breast"], pattern["image view"]
    image = f"{part}_{patient}_{side}_{view}"
    uids = "/".join(pattern["image file path"].replace("\\", "/").split("/")[1:3])
    finding = ("1", "mass", "OVAL", "CIRCUMSCRIBED", "4", "BENIGN", "4")
    files = (f"{image}/{uids}/000000.dcm", *(f"{image}_1/{uids}/00000{n}.dcm" for n in (0, 1)))
    return (patient, pattern["breast density"], side, view, *finding, *files[:2], files[2] + "\n")
