"""The stores of a record are made whole or not at all, and told apart from what is none."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from processes import fork

from mcalc.errors import UserError
from mcalc.sqlite_file import copy_database, ensure_database, table_names, url_of
from mcalc.sweep.store.storage import Storage
from mcalc.tracking.opening import open_record
from mcalc.tracking.store import open_local
from mcalc.tracking.tracker import Tracker

HALF_MADE = Path(__file__).resolve().parents[1] / "records" / "mlflow_half_made.sql"
AWKWARD = (
    *(
        "what?x=1",
        "100%25 sure%",
        "back\\slash",
        "a b",
        "hash#tag",
        "br{ace}",
        "ü-漢",
        'it\'s "so"',
        "a;b&c=d",
    ),
    *("new\nline", "-x", "n" * 250),
)


def half_made() -> bytes:
    """MLflow's database as a kill in its first start left it."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(HALF_MADE.read_text())
        return database.serialize()


def tables_forever(folder: str) -> None:
    """Make MLflow's tables again and again, until killed."""
    import logging

    logging.disable()
    number = 0
    while True:
        record = Path(folder) / str(number)
        record.mkdir()
        open_local(record)
        number += 1


def test_a_half_made_database_is_kept_aside_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_bytes(half_made())
    tracker = Tracker(tmp_path, "mcalc")
    run = tracker.open_trial("one", "k1", {}, {}, None)
    run.finish({"accuracy": 0.5}, {})
    assert tracker.finished("k1") is not None
    assert (tmp_path / "mlflow.db.half-made-1").read_bytes() == half_made()
    assert "half-made" in caplog.text
    caplog.clear()
    Tracker(tmp_path, "mcalc")
    assert "half-made" not in caplog.text, "a whole one is used as it is"


@pytest.mark.whole
def test_kills_while_tables_are_made_leave_no_database_or_a_whole_one(tmp_path: Path) -> None:
    for number, seconds in enumerate((0.3, 0.7, 1.1, 1.6, 2.2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = fork(tables_forever, str(folder))
        deadline = time.monotonic() + 120
        while not any(folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(seconds)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        for record in folder.iterdir():
            whole = (record / "mlflow.db").exists()
            assert not whole or "experiments" in table_names(record / "mlflow.db")
            client = open_local(record)
            assert [each.name for each in client.search_experiments()] == ["Default"]
            assert not list(record.glob("*half-made*"))


def test_a_failure_while_tables_are_made_leaves_nothing(tmp_path: Path) -> None:
    def fill_the_disk(url: str) -> None:
        RDBStorage(url).engine.dispose()
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        ensure_database(tmp_path / "optuna.db", fill_the_disk, "version_info")
    assert [each.name for each in tmp_path.iterdir()] == [".optuna.lock"]
    Storage(url_of(tmp_path / "optuna.db"), 1)
    assert table_names(tmp_path / "optuna.db") >= {"studies", "trials"}


def test_optunas_database_is_made_anew_where_it_is_half_made(tmp_path: Path) -> None:
    Storage(url_of(tmp_path / "whole.db"), 1)
    shutil.copy(tmp_path / "whole.db", tmp_path / "optuna.db")
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as database:
        database.execute("DELETE FROM version_info")
        database.execute("DROP TABLE trial_heartbeats")
        database.commit()
    storage = Storage(url_of(tmp_path / "optuna.db"), 1)
    optuna.create_study(storage=storage.optuna, study_name="one")
    assert optuna.get_all_study_names(storage.optuna) == ["one"]
    assert (tmp_path / "optuna.db.half-made-1").is_file()


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    Storage(url_of(tmp_path / "mlflow.db"), 1)
    with pytest.raises(UserError, match="another program"):
        open_local(tmp_path)
    assert "studies" in table_names(tmp_path / "mlflow.db")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: b"words\n" * 100, "it is no SQLite database"),
        (lambda whole: whole[: len(whole) // 2], "of its"),
        (lambda whole: whole[:60], "it is no SQLite database"),
        (lambda whole: whole[:4096] + bytes(len(whole) - 4096), "malformed|image"),
    ],
)
def test_a_damaged_database_is_said_and_left_as_it_is(
    tmp_path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    open_local(tmp_path)
    copy_database(tmp_path / "mlflow.db", tmp_path / "copy.db")
    other = tmp_path / "other"
    other.mkdir()
    content = damage((tmp_path / "copy.db").read_bytes())
    (other / "mlflow.db").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        Tracker(other, "mcalc")
    assert str(other / "mlflow.db") in str(caught.value)
    assert (other / "mlflow.db").read_bytes() == content


LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
connection.close()
"""


def test_another_process_that_looks_and_ends_leaves_the_log_of_an_open_record(
    tmp_path: Path,
) -> None:
    """SQLite deletes it with the last connection, which it knows by locks on the file."""
    tracker = Tracker(tmp_path, "mcalc")
    Storage(url_of(tmp_path / "optuna.db"), 1)
    for number in range(3):
        tracker.open_trial(f"trial {number}", f"k{number}", {}, {}, None).finish({}, {})
        looked = subprocess.run(
            [sys.executable, "-c", LOOK, str(tmp_path / "mlflow.db")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert looked.stdout.split() == [str(number + 1)]
        assert (tmp_path / "mlflow.db-wal").is_file()


def test_a_folder_in_the_place_of_a_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(UserError, match="is not a file"):
        Tracker(tmp_path, "mcalc")


def test_a_database_of_another_mlflow_is_said(tmp_path: Path) -> None:
    open_local(tmp_path)
    newer = tmp_path / "newer"
    newer.mkdir()
    copy_database(tmp_path / "mlflow.db", newer / "mlflow.db")
    with closing(sqlite3.connect(newer / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    with pytest.raises(UserError, match="another version of MLflow"):
        open_local(newer)


@pytest.mark.parametrize(
    "name", [*AWKWARD[:3], *(pytest.param(name, marks=pytest.mark.whole) for name in AWKWARD[3:])]
)
def test_any_path_holds_a_record(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "runs"
    tracker = Tracker(folder, "mcalc")
    run = tracker.open_trial("one", "k1", {}, {}, None)
    run.text("content", "note.txt")
    run.finish({}, {})
    Storage(url_of(folder / "optuna.db"), 1)
    assert {"mlflow.db", "optuna.db", "artifacts"} <= {each.name for each in folder.iterdir()}
    assert [each.name for each in tmp_path.iterdir()] == [name], "nothing lies beside it"
    assert [each.read_text() for each in folder.rglob("note.txt")] == ["content"]


def test_a_deleted_experiment_is_said(tmp_path: Path) -> None:
    client, experiment = open_record(tmp_path, "mcalc", None, 1)
    client.delete_experiment(experiment)
    with pytest.raises(UserError, match=f"restore --experiment-id {experiment}"):
        open_record(tmp_path, "mcalc", None, 1)
    client.restore_experiment(experiment)
    assert open_record(tmp_path, "mcalc", None, 1)[1] == experiment
