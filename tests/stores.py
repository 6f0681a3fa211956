"""What tests begin with, made once in a process: MLflow's empty tables, and phantoms.

Making either takes most of a second. That a command makes them itself is tested where nothing is
given to it (tests/tracking, tests/launchers, the README's commands).
"""

from __future__ import annotations

import atexit
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
    folder = _until_the_end("stores")
    tracker = Tracker(folder, "mcalc")
    del tracker
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        # a record makes an experiment of its own, whose artifacts lie beside it
        database.execute("DELETE FROM experiment_tags")
        database.execute("DELETE FROM experiments WHERE name = 'mcalc'")
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "mlflow.db"


@cache
def images() -> Path:
    """Where phantoms and images made of them lie that this process's tests share."""
    return _until_the_end("images")


def _until_the_end(name: str) -> Path:
    """A folder that is removed as this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"mcalc-test-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def begin_with_images(folder: Path) -> None:
    """Let commands in a folder find the phantoms that others of this process have drawn."""
    with suppress(FileExistsError):
        (folder / ".cache").symlink_to(images(), target_is_directory=True)


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
