"""MLflow's tables to begin with: they are made once in a process, and copied.

Making them takes most of a second. That a command makes them itself is tested where nothing is
copied (tests/tracking, tests/launchers, the README's commands).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from mcalc.tracking.tracker import Tracker


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mcalc-test-stores-"))
    tracker = Tracker(folder, "mcalc")
    del tracker
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        # a record makes an experiment of its own, whose artifacts lie beside it
        database.execute("DELETE FROM experiment_tags")
        database.execute("DELETE FROM experiments WHERE name = 'mcalc'")
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "mlflow.db"


def begin_with_tables(record: Path) -> None:
    """Put MLflow's empty tables into the folder of a record, unless there is one."""
    if not record.exists():
        record.mkdir(parents=True, exist_ok=True)
        # whole or not at all, as several workers begin at once
        draft = record / f".mlflow.db-{os.getpid()}"
        shutil.copy(_template(), draft)
        with suppress(FileExistsError):
            os.link(draft, record / "mlflow.db")
        draft.unlink()
