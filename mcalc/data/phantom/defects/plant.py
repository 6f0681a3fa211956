"""What can be wrong with a download, planted in a phantom at fixed places.

Each plant damages one lesion, image or patient of a whole phantom, and returns the ledger rows that
a reader owes for it. Some owe none: they are odd but legitimate, and a reader that loses the lesion
over them is wrong. The list of what is owed is written beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mcalc.config import PhantomConfig
from mcalc.data.phantom.case_csv import CsvRecord, write_csv
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.defects.csv_values import (
    VALUE_PLANTS,
    label_conflicts,
    plant_label_conflicts,
    plant_rows,
)
from mcalc.data.phantom.defects.file_roles import ROLE_PLANTS
from mcalc.data.phantom.defects.images import IMAGE_PLANTS
from mcalc.data.phantom.defects.mass_part import plant_mass_part
from mcalc.data.phantom.defects.target import ExpectedDefect, FoundBy, Target
from mcalc.data.records import DefectKind, Split
from mcalc.errors import UserError

EXPECTED_FILE = "expected_defects.csv"
"""Beside the data, not part of it: no reader looks at it."""

FEWEST_LESIONS = 40
"""Lesions that carry every defect, whatever the seed."""

PLANTS = (*IMAGE_PLANTS, *ROLE_PLANTS, *VALUE_PLANTS)
"""Each takes a lesion to itself, alone on its image, in this order."""


def plant_defects(
    root: Path,
    rows: Sequence[PhantomRow],
    records: Mapping[str, CsvRecord],
    tables: Mapping[Split, list[CsvRecord]],
    settings: PhantomConfig,
) -> list[ExpectedDefect]:
    """Damage the phantom whose images lie below `root`, and the records its CSVs will have.

    Args:
        root: the download, images written, CSVs not yet.
        rows: as `phantom_rows` gives them for `settings`.
        records: by lesion; changed in place.
        tables: the records in the order of each CSV; rows are added and changed.
        settings: the phantom's.

    Returns:
        What a reader owes. This includes what the phantom has by nature: crops and masks in each
        other's place, and lesions of one image with different labels.
    """
    expected: list[ExpectedDefect] = []
    free = list(_free_rows(rows))
    for plant, row in zip(PLANTS, free[: len(PLANTS)], strict=True):
        expected += plant(Target(root, row, records[row.lesion_case], settings))
    plant_label_conflicts(rows, records)
    expected += plant_rows(free[len(PLANTS) :], records, tables)
    expected += plant_mass_part(root, rows, records)
    swapped = (row.lesion_case for row in rows if row.swapped)
    expected += [ExpectedDefect(name, DefectKind.SWAPPED, FoundBy.INDEX) for name in swapped]
    expected += label_conflicts(rows, records)
    return sorted(expected, key=lambda each: (each.lesion, each.kind))


def check_enough_lesions(settings: PhantomConfig) -> None:
    """Raise UserError where there are too few lesions to carry every defect."""
    if settings.lesions < FEWEST_LESIONS:
        raise UserError(
            f"data.phantom.lesions={settings.lesions} is too few to carry every defect: with "
            f"data.phantom.defects=true take data.phantom.lesions={FEWEST_LESIONS} or more"
        )


def write_expected(root: Path, expected: Sequence[ExpectedDefect]) -> None:
    """Write `EXPECTED_FILE` below `root`: lesion, kind and what finds it."""
    rows = [(each.lesion, each.kind.value, each.found_by.value) for each in expected]
    write_csv(root / EXPECTED_FILE, ("lesion", "kind", "found_by"), rows)


def _free_rows(rows: Sequence[PhantomRow]) -> Iterator[PhantomRow]:
    """Rows that a plant may have: one lesion on the image, and nothing else wrong with it."""
    shared = {row.image_case for row in rows if row.abnormality > 1}
    return (row for row in rows if not row.swapped and row.image_case not in shared)
