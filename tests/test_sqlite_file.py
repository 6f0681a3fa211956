"""SQLite files that several processes use: looking at one takes nobody's locks away."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from mcalc.sqlite_file import check_readable, opened

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO t VALUES (2)")
connection.commit()
print(sorted(n for (n,) in connection.execute("SELECT n FROM t")))
connection.close()
"""


def other_process(path: Path) -> str:
    """Another process adds 2 and prints all numbers."""
    command = [sys.executable, "-c", OTHER, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_look_at_a_file_leaves_the_locks_of_open_connections(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE t (n INTEGER)")
        made.commit()
    check_readable(path)
    with closing(sqlite3.connect(path)) as mine:
        mine.execute("SELECT count(*) FROM t").fetchone()
        check_readable(path)
        with opened(path):
            pass
        assert other_process(path) == "[2]"
        # without its locks this connection would write to a log that the other one has removed
        mine.execute("INSERT INTO t VALUES (1)")
        mine.commit()
        assert other_process(path) == "[1, 2, 2]"
