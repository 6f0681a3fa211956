"""The store's file: what several workers need of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mcalc.sweep.store.storage import Storage


def test_sqlite_has_a_write_ahead_log_so_that_readers_do_not_block_the_writer(
    tmp_path: Path,
) -> None:
    file = tmp_path / "optuna.db"
    Storage(f"sqlite:///{file}", 5).optuna.get_all_studies()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
