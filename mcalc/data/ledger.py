"""The ledger: everything found wrong in a download, as a file and in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mcalc.csv_table import write_table
from mcalc.data.records import Defect, DefectKind

COLUMNS = ("lesion", "kind", "detail", "action")


def write_ledger(ledger: Iterable[Defect], path: Path) -> Path:
    """Write the ledger as CSV (UTF-8, one row a defect, columns `COLUMNS`), whole or not at all.

    Folders are made as needed. Returns the path; raises UserError when it cannot be written.
    """
    rows = ((each.lesion, each.kind.value, each.detail, each.action) for each in ledger)
    remedy = "name a writable folder with data.cache=PATH"
    write_table(path, COLUMNS, rows, "the ledger", remedy)
    return path


def count_by_kind(ledger: Iterable[Defect]) -> dict[DefectKind, int]:
    """Number of rows of each kind that occurs, in the order in which `DefectKind` declares them."""
    counts = Counter(defect.kind for defect in ledger)
    return {kind: counts[kind] for kind in DefectKind if counts[kind]}
