"""What is known of files by their state (`mcalc.file_digest`), kept in `<cache>/digests.sqlite`.

Any number of processes may use the database; losing it only costs time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mcalc.file_digest import FileState

DATABASE = "digests.sqlite"
_T = TypeVar("_T")
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class KnownFiles:
    """One table of the database: values of files by their state."""

    cache: Path
    table: str
    columns: Mapping[str, str]
    """Names of the values and their types in SQL."""

    def read(self, states: Iterable[FileState]) -> dict[FileState, tuple[Any, ...]]:
        """What the database knows of files in these very states."""
        if not (self.cache / DATABASE).is_file():
            return {}

        def read(database: sqlite3.Connection) -> dict[FileState, tuple[Any, ...]]:
            query = (
                f"SELECT {', '.join(self.columns)} FROM {self.table} "
                "WHERE path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
            )
            rows = ((state, database.execute(query, state).fetchone()) for state in states)
            return {state: tuple(row) for state, row in rows if row}

        return self._in_database(read) or {}

    def every(self) -> dict[FileState, tuple[Any, ...]]:
        """All that the database knows, by states that files have or had."""
        if not (self.cache / DATABASE).is_file():
            return {}
        width = len(FileState._fields)

        def read(database: sqlite3.Connection) -> dict[FileState, tuple[Any, ...]]:
            rows = database.execute(f"SELECT * FROM {self.table}")
            return {FileState(*row[:width]): tuple(row[width:]) for row in rows}

        return self._in_database(read) or {}

    def keep(self, fresh: Mapping[FileState, Sequence[Any]]) -> None:
        """Write values of files that were settled when they were read."""

        def write(database: sqlite3.Connection) -> None:
            marks = ", ".join("?" for _ in range(len(FileState._fields) + len(self.columns)))
            rows = [(*state, *values) for state, values in fresh.items()]
            database.executemany(f"INSERT OR REPLACE INTO {self.table} VALUES ({marks})", rows)
            database.commit()

        if fresh:
            self._in_database(write)

    def _in_database(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """What `work` gives with the open database; None where it fails. A damaged one is removed.

        Losing it is never an error: what it held is read again.
        """
        place = self.cache / DATABASE
        values = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(place, timeout=_PATIENCE_SECONDS)) as connection:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {self.table} "
                    "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, "
                    f"{values}) WITHOUT ROWID"
                )
                return work(connection)
        except (sqlite3.OperationalError, OSError):
            # a lock, a full disk, a folder that cannot be written: not damage
            return None
        except sqlite3.DatabaseError:
            place.unlink(missing_ok=True)
            return None
