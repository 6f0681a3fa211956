"""SQLite files that several processes use: looking at one takes nobody's locks away."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mcalc.sqlite_file import check_readable, ensure_database, opened

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("INSERT INTO t VALUES (2)")
connection.commit()
print(sorted(n for (n,) in connection.execute("SELECT n FROM t")))
connection.close()
"""


ENSURE = """
import sqlite3, sys
from pathlib import Path
from mcalc.sqlite_file import ensure_database
def make(url):
    made = sqlite3.connect(url.removeprefix("sqlite:///"))
    made.execute("CREATE TABLE t (n INTEGER)")
    made.execute("INSERT INTO t VALUES (0)")
    made.commit()
    made.close()
ensure_database(Path(sys.argv[1]), make, "t")
connection = sqlite3.connect(sys.argv[1])
print(sorted(n for (n,) in connection.execute("SELECT n FROM t")))
connection.close()
"""


def other_ensures(path: Path) -> str:
    """Another process makes the database where there is none, and prints all numbers."""
    command = [sys.executable, "-c", ENSURE, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def other_process(path: Path) -> str:
    """Another process adds 2 and prints all numbers."""
    command = [sys.executable, "-c", OTHER, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_log_of_a_database_that_is_gone_is_not_added_to_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def make(url: str) -> None:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as made:
            made.execute("CREATE TABLE t (n INTEGER)")
            made.execute("INSERT INTO t VALUES (0)")
            made.commit()

    ensure_database(path, make, "t")
    with closing(sqlite3.connect(path)) as kept:
        kept.execute("INSERT INTO t VALUES (1)")
        kept.commit()
        path.unlink()
        assert other_ensures(path) == "[0]"
    assert [each.name for each in tmp_path.glob("store.db.left-1*")]


def test_an_empty_file_in_its_place_is_replaced_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    path.touch()  # as by a connection that looked for it before it was made
    assert other_ensures(path) == "[0]"
    ensure_database(path, lambda url: None, "t")
    assert {each.name for each in tmp_path.iterdir()} == {"store.db", ".store.lock"}
    assert not caplog.text


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


def make(url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as made:
        made.execute("CREATE TABLE t (n INTEGER)")
        made.execute("INSERT INTO t VALUES (1)")
        made.commit()


def test_who_made_a_file_keeps_the_locks_of_its_connections_too(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    ensure_database(path, make, "t")
    with closing(sqlite3.connect(path)) as mine:
        mine.execute("SELECT count(*) FROM t").fetchone()
        with opened(path):
            pass
        assert other_process(path) == "[1, 2]"
        # else the other one, thinking itself the last, takes the log away
        assert path.with_name("store.db-wal").exists()
        mine.execute("INSERT INTO t VALUES (3)")
        mine.commit()
    assert other_process(path) == "[1, 2, 2, 3]"
