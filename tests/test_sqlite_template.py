"""Tables that are copied from a template are those that the libraries make themselves."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from parameters import most_are_whole
from processes import fork

from mcalc.sqlite_file import url_of
from mcalc.sqlite_template import Template
from mcalc.sweep.store import storage
from mcalc.tracking import store
from mcalc.tracking.tracker import Tracker

MADE: list[str] = []
"""Addresses in which tables were made step by step in this process."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a note of each time that a library makes its tables."""
    place = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    MADE.clear()
    for module in (store, storage):
        monkeypatch.setattr(module, "_TABLES", noting(module._TABLES))
    return place / "mcalc" / "tables"


def noting(template: Template) -> Template:
    def make(url: str) -> None:
        MADE.append(url)
        template.make(url)

    return Template(template.library, template.migrations, make, template.own_rows)


def kept(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.is_dir() else []


def schema(database: Path) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        made = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        return {
            # MLflow's migrations write the conditions of a table in any order
            *(
                (*names, *sorted(line.strip(", ") for line in (sql or "").splitlines()))
                for *names, sql in made
            ),
            *(("revision", *row) for row in connection.execute("SELECT * FROM alembic_version")),
        }


def rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but for times, which differ."""
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
            chosen = ", ".join(f'"{each}"' for each in columns if "time" not in each)
            found[name] = connection.execute(f'SELECT {chosen} FROM "{name}"').fetchall()
    return found


def record(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    store.open_local(folder)
    return folder / "mlflow.db"


def study(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    storage.Storage(url_of(folder / "optuna.db"), 1)
    return folder / "optuna.db"


@pytest.mark.parametrize("make", [record, study])
def test_the_second_database_is_as_the_first(make: Any, tmp_path: Path, cache: Path) -> None:
    first = make(tmp_path / "first")
    assert (len(MADE), len(kept(cache))) == (1, 1)
    second = make(tmp_path / "second")
    assert (len(MADE), len(kept(cache))) == (1, 1), "copied"
    assert len(schema(first)) > 20
    assert schema(second) == schema(first)
    assert rows(second) == rows(first)


def test_the_default_experiment_belongs_to_its_own_record(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow keeps the folder and the time at which it made it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        record(tmp_path / name / "runs")
    experiments = [
        store.open_local(tmp_path / name / "runs").get_experiment("0") for name in ("one", "two")
    ]
    assert "two" in experiments[1].artifact_location
    assert experiments[1].creation_time > experiments[0].creation_time
    assert str(tmp_path).encode() not in kept(cache)[0].read_bytes(), "no path of anybody's"


def test_a_template_is_private(tmp_path: Path, cache: Path) -> None:
    old = os.umask(0)
    try:
        record(tmp_path / "first")
    finally:
        os.umask(old)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert kept(cache)[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", most_are_whole(["flipped", "short", "empty", "other tables", "open to all"], 1)
)
def test_a_template_that_cannot_be_trusted_is_made_anew(
    damage: str, tmp_path: Path, cache: Path
) -> None:
    first = record(tmp_path / "first")
    (template,) = kept(cache)
    content = bytearray(template.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        template.write_bytes(content)
    elif damage == "open to all":
        template.chmod(0o666)
    elif damage == "other tables":
        with closing(sqlite3.connect(template)) as connection:
            connection.execute("DROP TABLE tags")
            connection.commit()
    else:
        template.write_bytes(content[:1000] if damage == "short" else b"")
    second = record(tmp_path / "second")
    assert len(MADE) == 2
    assert schema(second) == schema(first)
    third = record(tmp_path / "third")
    assert len(MADE) == 2, "the new one is used"
    assert schema(third) == schema(first)


@pytest.mark.whole
def test_tables_that_the_library_refuses_are_made_by_it(tmp_path: Path, cache: Path) -> None:
    """Of a library that changed without another version: MLflow compares the revision."""
    first = record(tmp_path / "first")
    (template,) = kept(cache)
    with closing(sqlite3.connect(template)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()
    digest = hashlib.sha256(template.read_bytes()).hexdigest()
    template.rename(template.with_name(f"{template.stem.rpartition('-')[0]}-{digest}.db"))
    second = record(tmp_path / "second")
    assert schema(second) == schema(first)
    assert [each.name for each in (tmp_path / "second").iterdir() if "draft" in each.name] == []


@pytest.mark.whole
def test_where_nothing_can_be_kept_tables_are_made(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    first, second = record(tmp_path / "first"), record(tmp_path / "second")
    assert len(MADE) == 2
    assert schema(first) == schema(second)
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", no_home)
    record(tmp_path / "third")
    assert len(MADE) == 3
    assert not Path("not").exists()


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_another_version_of_the_library_has_a_template_of_its_own(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "first")
    real = Template._versions
    monkeypatch.setattr(Template, "_versions", lambda self: real(self)[::-1])
    record(tmp_path / "second")
    assert (len(MADE), len(kept(cache))) == (2, 2)


def open_one(folder: str, cache: str, name: str) -> None:
    os.environ["XDG_CACHE_HOME"] = cache
    tracker = Tracker(Path(folder), "mcalc")
    tracker.open_trial(name, name, {}, {}, None).finish({"accuracy": 0.5}, {})


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True], ids=["no template", "a template"])
def test_processes_that_open_one_new_record_at_once(
    there: bool, tmp_path: Path, cache: Path
) -> None:
    if there:
        record(tmp_path / "earlier")
    places = (str(tmp_path / "runs"), str(cache.parents[1]))
    workers = [fork(open_one, *places, f"trial {number}") for number in range(4)]
    for each in workers:
        each.join(120)
        assert each.exitcode == 0
    tracker = Tracker(tmp_path / "runs", "mcalc")
    assert all(tracker.finished(f"trial {number}") for number in range(4))
    assert len(kept(cache)) == 1
    assert not [each for each in cache.iterdir() if each.name.startswith(".")]
