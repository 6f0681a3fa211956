"""The store's file and its tables: what several workers need of them, on real databases."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import text

from mcalc.retry import UnreachableError
from mcalc.sweep.store.retry import database_retry
from mcalc.sweep.store.storage import Storage, create_tables_once


def test_sqlite_has_a_write_ahead_log_so_that_readers_do_not_block_the_writer(
    tmp_path: Path,
) -> None:
    file = tmp_path / "optuna.db"
    Storage(f"sqlite:///{file}", 5).optuna.get_all_studies()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_workers_write_waits_for_that_of_another(tmp_path: Path) -> None:
    file = tmp_path / "optuna.db"
    # no patience with a store that is away: a lock is none
    storage = Storage(f"sqlite:///{file}", 0).optuna
    storage.get_all_studies()
    other = sqlite3.connect(file, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1.0, other.rollback)
    release.start()
    storage.create_new_study([], "mine")
    release.join()
    other.close()
    assert [study.study_name for study in storage.get_all_studies()] == ["mine"]


def test_tables_that_another_worker_has_just_created_are_found_by_the_next_try(
    tmp_path: Path,
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    create = text("CREATE TABLE mine (a INTEGER)")
    looked = []

    def create_where_missing() -> str:
        missing = not sqlalchemy.inspect(engine).has_table("mine")
        looked.append(missing)
        if missing:
            # between looking and creating
            for _ in range(2):
                with engine.begin() as connection:
                    connection.execute(create)
        return "there"

    assert create_tables_once(create_where_missing) == "there"
    assert looked == [True, False]
    engine.dispose()


def test_after_waiting_in_vain_a_call_fails_at_once_until_the_store_answers() -> None:
    pytest.importorskip("psycopg", reason="pip install psycopg[binary]")
    # nothing listens there
    url = "postgresql+psycopg://somebody@127.0.0.1:9/mcalc"
    engine, tries = sqlalchemy.create_engine(url), []

    def connect() -> None:
        tries.append(1)
        engine.connect()

    retry = database_retry(url, 1.0)
    for most in (99, 1):
        tries.clear()
        with pytest.raises(UnreachableError, match="could not be reached for"):
            retry(connect)
        assert len(tries) <= most
        assert tries
    assert retry(lambda: "an answer") == "an answer"
    tries.clear()
    with pytest.raises(UnreachableError):
        retry(connect)
    assert len(tries) > 1, "it waits again"


def test_waiting_for_a_store_and_giving_up_names_it_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line that says it waits goes to logs of jobs, which no command looks through."""
    pytest.importorskip("psycopg", reason='needs `pip install "mcalc[postgres]"`')
    with pytest.raises(UnreachableError) as given_up:
        Storage("postgresql+psycopg://ann:cAn4ry@127.0.0.1:9/mcalc", 1)
    said = [str(given_up.value), *(record.getMessage() for record in caplog.records)]
    assert len(said) > 1
    for text_of_one in said:
        assert "cAn4ry" not in text_of_one
        assert "127.0.0.1:9" in text_of_one
