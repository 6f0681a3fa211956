"""Defects of the case CSVs: values, paths, rows and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcalc.data.phantom.case_csv import CsvRecord
from mcalc.data.phantom.case_row import PhantomRow
from mcalc.data.phantom.cases import MIXED_PATIENTS
from mcalc.data.phantom.defects.target import ExpectedDefect, FoundBy, Plant, Target
from mcalc.data.records import DefectKind, Pathology, Split
from mcalc.data.sources.cbis_ddsm import CSV_NAMES


def _density_is_a_word(target: Target) -> list[ExpectedDefect]:
    target.record["breast density"] = "dense"
    return target.owes(DefectKind.BAD_VALUE)


def _blanks_and_line_feeds(target: Target) -> list[ExpectedDefect]:
    """No descriptors, written in two ways; density 0; and a line feed at the end of every path."""
    target.record["calc type"] = "N/A"
    target.record["calc distribution"] = ""
    target.record["breast density"] = "0"
    for column in ("image file path", "ROI mask file path"):
        target.record[column] += "\n"
    return []


def _crop_path_after(prefix: str) -> Plant:
    """A crop's path that leaves the data root by what it begins with."""

    def plant(target: Target) -> list[ExpectedDefect]:
        column = "cropped image file path"
        target.record[column] = prefix + target.record[column]
        return target.owes(DefectKind.UNSAFE_PATH)

    return plant


def _mask_path_climbs(target: Target) -> list[ExpectedDefect]:
    target.record["ROI mask file path"] = f"{target.id}/../../{target.mask.name}"
    return target.owes(DefectKind.UNSAFE_PATH)


def _full_path_names_a_drive(target: Target) -> list[ExpectedDefect]:
    """The mammogram is then out of reach too."""
    path = target.record["image file path"].replace("/", "\\")
    target.record["image file path"] = f"C:\\{path}"
    return [*target.owes(DefectKind.UNSAFE_PATH), *target.owes(DefectKind.FULL_MISSING)]


VALUE_PLANTS: tuple[Plant, ...] = (
    _density_is_a_word,
    _blanks_and_line_feeds,
    _crop_path_after("../../"),
    _crop_path_after("/"),
    _mask_path_climbs,
    _full_path_names_a_drive,
)
"""Values and paths of one lesion's row."""


_UNREADABLE = (("pathology", "SUSPICIOUS"), ("subtlety", "high"), ("ROI mask file path", None))
"""Column and value of rows that cannot be understood; None: the row ends before it."""


def plant_rows(
    free: Sequence[PhantomRow],
    records: Mapping[str, CsvRecord],
    tables: Mapping[Split, list[CsvRecord]],
) -> list[ExpectedDefect]:
    """Rows that cannot be understood, and repeated rows.

    `free`: rows of lesions that nothing else is wrong with.
    """
    same, differing, *others = free
    expected = []
    for row, changes in ((same, {}), (differing, {"assessment": "1"})):
        table, record = tables[row.split], records[row.lesion_case]
        table.insert(_position(table, record) + 1, {**record, **changes})
        expected.append(ExpectedDefect(row.lesion_case, DefectKind.DUPLICATE_ROW, FoundBy.INDEX))
    for (column, value), row in zip(_UNREADABLE, others[: len(_UNREADABLE)], strict=True):
        table, record = tables[row.split], records[row.lesion_case]
        if value is None:
            del record[column]
        else:
            record[column] = value
        # the row names no lesion that could be trusted, so the ledger names its place
        place = f"{CSV_NAMES[row.split]} row {_position(table, record) + 1}"
        expected.append(ExpectedDefect(place, DefectKind.BAD_VALUE, FoundBy.INDEX))
    return expected


def _position(table: Sequence[CsvRecord], record: CsvRecord) -> int:
    return next(place for place, each in enumerate(table) if each is record)


def plant_label_conflicts(rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]) -> None:
    """One image with benign and malignant lesions, one with the two kinds of benign ones."""
    second = {
        MIXED_PATIENTS[0]: (Pathology.BENIGN, Pathology.MALIGNANT),
        MIXED_PATIENTS[1]: (Pathology.BENIGN, Pathology.BENIGN_WITHOUT_CALLBACK),
    }
    for row in rows:
        if row.patient in second:
            label = second[row.patient][row.abnormality - 1]
            records[row.lesion_case]["pathology"] = label.value


def label_conflicts(
    rows: Sequence[PhantomRow], records: Mapping[str, CsvRecord]
) -> list[ExpectedDefect]:
    """Images whose lesions differ in pathology, by nature or planted."""
    labels: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row.image_case, set()).add(records[row.lesion_case]["pathology"])
    mixed = (image for image, found in labels.items() if len(found) > 1)
    return [ExpectedDefect(image, DefectKind.LABEL_CONFLICT, FoundBy.INDEX) for image in mixed]
