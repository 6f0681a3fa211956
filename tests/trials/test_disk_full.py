"""A full disk is recognised by error numbers, whichever library meets it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy

from mcalc.config import Config, TrackingConfig
from mcalc.errors import UserError
from mcalc.trials.disk_full import FullDiskError, is_disk_full, raise_disk_full


def full_sqlite(path: Path) -> sqlite3.Connection:
    """A database that may not grow: SQLite's own limit of pages gives the error of a full disk."""
    connection = sqlite3.connect(path)
    connection.execute("create table t (x text)")
    connection.execute("pragma max_page_count = 3")
    return connection


def test_sqlites_result_code_is_read_not_its_words(tmp_path: Path) -> None:
    connection = full_sqlite(tmp_path / "small.db")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("insert into t values (?)", ["x" * 100_000])
    connection.close()
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert is_disk_full(caught.value)
    translated = sqlite3.OperationalError("la base de datos o el disco esta lleno")
    translated.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert is_disk_full(translated)


def test_an_error_that_sqlalchemy_wraps_is_recognised(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'small.db'}")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("create table t (x text)"))
        connection.execute(sqlalchemy.text("pragma max_page_count = 3"))
        with pytest.raises(sqlalchemy.exc.OperationalError) as caught:
            connection.execute(sqlalchemy.text("insert into t values (:x)"), {"x": "x" * 100_000})
    engine.dispose()
    assert is_disk_full(caught.value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_systems_error_numbers(number: int) -> None:
    assert is_disk_full(OSError(number, "in any language"))
    wrapped = ValueError("a library's own error")
    wrapped.__cause__ = OSError(number, "in any language")
    assert is_disk_full(wrapped)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "No space left"), ValueError("disk is full"), sqlite3.Error("locked")],
)
def test_other_errors_are_not_taken_for_it_whatever_they_say(error: Exception) -> None:
    assert not is_disk_full(error)


def test_the_sentence_names_the_folder_and_the_remedy() -> None:
    config = Config(tracking=TrackingConfig(dir="my runs"))
    says = r"no space is left .* my runs.*make room"
    with pytest.raises(FullDiskError, match=says), raise_disk_full(config):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UserError, match="mine"), raise_disk_full(config):
        raise UserError("mine")
