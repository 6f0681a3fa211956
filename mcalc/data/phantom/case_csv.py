"""The phantom's case CSVs, and where each row's files lie: as in CBIS-DDSM's legacy layout."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mcalc.atomic_write import sync
from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.dicom import case_uid
from mcalc.data.records import Split
from mcalc.data.sources.cbis_ddsm import COLUMNS, CSV_NAMES

CSV_COLUMNS = (*COLUMNS[:5], "abnormality type", *COLUMNS[5:])
"""Of the calcification CSVs of CBIS-DDSM, in their order: those read, and one more."""

CsvRecord = dict[str, str]
"""One row by column, in the columns' order."""


def _series_folder(case: str, settings: PhantomConfig) -> str:
    return f"{case}/{case_uid(settings, case, 'study')}/{case_uid(settings, case, 'series')}"


def image_path(row: PhantomRow, settings: PhantomConfig) -> str:
    """Path of the row's full image below the root, as in the CSV."""
    return f"{_series_folder(row.image_case, settings)}/000000.dcm"


def crop_path(row: PhantomRow, settings: PhantomConfig) -> str:
    """Path of the row's crop below the root, as in the CSV."""
    return f"{_series_folder(row.lesion_case, settings)}/000001.dcm"


def mask_path(row: PhantomRow, settings: PhantomConfig) -> str:
    """Path of the row's mask below the root, as in the CSV."""
    return f"{_series_folder(row.lesion_case, settings)}/000000.dcm"


def csv_record(row: PhantomRow, settings: PhantomConfig) -> CsvRecord:
    """The row as its CSV has it; the crop's path ends in a line feed, as in the real files."""
    finding = row.finding
    breast = (row.patient_id, row.density_written, row.side.value, row.view.value)
    lesion = (row.abnormality, "calcification", row.types_written, row.distribution_written)
    verdict = (finding.assessment, finding.pathology.value, finding.subtlety)
    files = (image_path(row, settings), crop_path(row, settings) + "\n", mask_path(row, settings))
    values = map(str, (*breast, *lesion, *verdict, *files))
    return dict(zip(CSV_COLUMNS, values, strict=True))


def write_case_csvs(root: Path, records: Mapping[Split, Sequence[CsvRecord]]) -> None:
    """Write the two case CSVs, each with its split's records in their order, below `root`."""
    for split, name in CSV_NAMES.items():
        rows = (list(record.values()) for record in records[split])
        write_csv(root / name, CSV_COLUMNS, rows)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV whose lines end in CR LF, as the real files do."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)
    sync(path)
