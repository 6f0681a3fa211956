"""The ledger: everything found wrong in a download, as a file and in numbers."""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mcalc.data.records import Defect, DefectKind
from mcalc.errors import UserError

COLUMNS = ("lesion", "kind", "detail", "action")


def write_ledger(ledger: Iterable[Defect], path: Path) -> Path:
    """Write the ledger as CSV (UTF-8, one row a defect, columns `COLUMNS`), whole or not at all.

    Folders are made as needed. Returns the path; raises UserError when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for defect in ledger:
                writer.writerow((defect.lesion, defect.kind.value, defect.detail, defect.action))
            file.flush()
            os.fsync(file.fileno())
        # mkstemp gives 0600, which keeps colleagues out
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"the ledger {path} cannot be written ({error.strerror}): name a writable folder with "
        "data.cache=PATH"
    )


def count_by_kind(ledger: Iterable[Defect]) -> dict[DefectKind, int]:
    """Number of rows of each kind that occurs, in the order in which `DefectKind` declares them."""
    counts = Counter(defect.kind for defect in ledger)
    return {kind: counts[kind] for kind in DefectKind if counts[kind]}
