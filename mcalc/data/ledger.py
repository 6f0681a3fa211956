"""The ledger: everything found wrong in a download, as a file and in numbers."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mcalc.atomic_write import write_text
from mcalc.data.records import Defect, DefectKind
from mcalc.errors import UserError

COLUMNS = ("lesion", "kind", "detail", "action")


def write_ledger(ledger: Iterable[Defect], path: Path) -> Path:
    """Write the ledger as CSV (UTF-8, one row a defect, columns `COLUMNS`), whole or not at all.

    Folders are made as needed. Returns the path; raises UserError when it cannot be written.
    """
    try:
        with write_text(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for defect in ledger:
                writer.writerow((defect.lesion, defect.kind.value, defect.detail, defect.action))
    except OSError as error:
        raise UserError(
            f"the ledger {path} cannot be written ({error.strerror}): name a writable folder with "
            "data.cache=PATH"
        ) from error
    return path


def count_by_kind(ledger: Iterable[Defect]) -> dict[DefectKind, int]:
    """Number of rows of each kind that occurs, in the order in which `DefectKind` declares them."""
    counts = Counter(defect.kind for defect in ledger)
    return {kind: counts[kind] for kind in DefectKind if counts[kind]}
