"""A record is moved or copied with its folder, and goes on there."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from processes import fork
from small_record import CURVE, PREDICTIONS, record
from stores import begin_with_tables

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.sqlite_file import copy_database
from mcalc.tracking.places import database_uri
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import Tracker


def read(folder: Path) -> dict[str, float]:
    """Accuracy by name of the trials of a record, whose artifacts are read too."""
    trials = read_trials(TrackingConfig(dir=str(folder)))
    for trial in trials:
        assert trial.predictions.ids == PREDICTIONS.ids
        assert trial.curve == CURVE
        assert all(Path(file).is_relative_to(folder) for file in trial.crops.values())
    return {trial.name: trial.metrics["accuracy"] for trial in trials}


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a record but what SQLite keeps beside its databases."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith(("-shm", "-wal"))
    }


def begin(folder: str) -> None:
    """A run that is cut off."""
    cut = Tracker(Path(folder), "mcalc").open_trial("one", "k1", {}, {}, "parent")
    cut.text("before", "note.txt")
    cut.fail("interrupted", "", killed=True)


def addresses(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        runs = database.execute("SELECT artifact_uri FROM runs").fetchall()
        places = database.execute("SELECT artifact_location FROM experiments WHERE name = 'mcalc'")
        return {str(address) for (address,) in (*runs, *places.fetchall())}


@pytest.fixture
def original(tmp_path: Path) -> Path:
    folder = tmp_path / "before" / "runs"
    begin_with_tables(folder)
    record(Tracker(folder, "mcalc"), "one", "k1")
    return folder


@pytest.mark.parametrize("name", ["after", "with space # and ? 100%"])
def test_a_moved_record_is_read_and_goes_on(tmp_path: Path, original: Path, name: str) -> None:
    now = tmp_path / name
    shutil.move(original, now)
    before = content(now)
    assert read(now) == {"one": 2 / 3}
    assert content(now) == before, "it is only read"
    record(Tracker(now, "mcalc"), "two", "k2")
    assert read(now) == {"one": 2 / 3, "two": 2 / 3}
    assert not original.exists(), "nothing is written where it was"
    assert all(address.startswith(now.as_uri()) for address in addresses(now))
    # MLflow itself finds them
    client = MlflowClient(tracking_uri=database_uri(now))
    run = client.search_runs([client.get_experiment_by_name("mcalc").experiment_id])[-1]
    curve = client.download_artifacts(run.info.run_id, "curve.csv", str(tmp_path))
    assert Path(curve).read_text()


def test_a_copy_and_its_original_both_go_on(tmp_path: Path, original: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    was = content(original)
    record(Tracker(copy, "mcalc"), "in the copy", "k2")
    assert content(original) == was
    is_now = content(copy)
    record(Tracker(original, "mcalc"), "in the original", "k3")
    assert content(copy) == is_now
    assert set(read(copy)) == {"one", "in the copy"}
    assert set(read(original)) == {"one", "in the original"}


@pytest.mark.whole
def test_a_run_that_was_cut_off_before_a_move_goes_on(tmp_path: Path) -> None:
    # in a process of its own, as MLflow remembers where a run's artifacts go
    process = fork(begin, str(tmp_path / "a"))
    process.join()
    shutil.move(tmp_path / "a", tmp_path / "b")
    tracker = Tracker(tmp_path / "b", "mcalc")
    (cut,) = tracker.runs_of("parent")
    on = tracker.open_trial("one", "k1", {}, {}, "parent", cut.run_id)
    on.table(PREDICTIONS)
    on.curve(CURVE)
    on.finish({"accuracy": 0.5}, {})
    assert not (tmp_path / "a").exists()
    written = {file.name for file in (tmp_path / "b" / "artifacts").rglob("*") if file.is_file()}
    assert {"predictions.csv", "curve.csv"} <= written


def test_a_database_without_its_artifacts_is_refused(tmp_path: Path, original: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    copy_database(original / "mlflow.db", alone / "mlflow.db")
    before = addresses(alone)
    with pytest.raises(UserError, match="artifacts of 1 of its 1 finished runs"):
        Tracker(alone, "mcalc")
    assert addresses(alone) == before
    assert set(read(original)) == {"one"}


def test_files_of_finished_runs_that_were_left_behind_are_missed(
    tmp_path: Path, original: Path
) -> None:
    tracker = Tracker(original, "mcalc")
    second = record(tracker, "two", "k2")
    tracker.open_trial("three", "k3", {}, {}, None).text("cut off", "note.txt")
    copy, moved = tmp_path / "copy", tmp_path / "moved"
    shutil.copytree(original, copy)
    shutil.rmtree(copy / "artifacts" / second)
    with pytest.raises(UserError, match="artifacts of 1 of its 2 finished runs"):
        Tracker(copy, "mcalc")
    shutil.rmtree(copy / "artifacts")
    with pytest.raises(UserError, match="artifacts of 2 of its 2 finished runs"):
        Tracker(copy, "mcalc")
    shutil.move(original, moved)
    with pytest.raises(UserError, match="artifacts of 2 of its 2 finished runs"):
        Tracker(copy, "mcalc")
    assert set(read(moved)) == {"one", "two"}


def is_open(tracker: Tracker) -> str:
    return tracker.open_trial("two", "k2", {}, {}, "parent").run_id


def has_a_file(tracker: Tracker) -> str:
    writer = tracker.open_trial("two", "k2", {}, {}, "parent")
    writer.text("{}", "config.json")
    return writer.run_id


def has_failed(tracker: Tracker) -> str:
    writer = tracker.open_trial("two", "k2", {}, {}, "parent")
    writer.fail("no such weights", "")
    return writer.run_id


def is_begun_again(tracker: Tracker) -> str:
    writer = tracker.open_trial("two", "k2", {}, {}, "parent")
    writer.prune({"iterations": 50.0}, {})
    # whose files are removed first; it keeps the tags of a closed run
    return tracker.open_trial("two", "k2", {}, {}, "parent", writer.run_id).run_id


@pytest.mark.parametrize("state", [is_open, has_a_file, has_failed, is_begun_again])
@pytest.mark.parametrize("copy_first", [False, True], ids=["original first", "copy first"])
@pytest.mark.parametrize("others", [True, False], ids=["beside another", "alone"])
def test_a_run_without_a_result_goes_on_in_copy_and_original(
    tmp_path: Path, state: Callable[[Tracker], str], copy_first: bool, others: bool
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    begin_with_tables(original)
    tracker = Tracker(original, "mcalc")
    if others:
        record(tracker, "one", "k1", "parent")
    run_id = state(tracker)
    shutil.copytree(original, copy)
    folders = [copy, original] if copy_first else [original, copy]
    for folder, other in zip(folders, reversed(folders), strict=True):
        was = content(other)
        tracker = Tracker(folder, "mcalc")
        again = tracker.open_trial("two", "k2", {}, {}, "parent", run_id)
        again.table(PREDICTIONS)
        again.curve(CURVE)
        again.finish({"accuracy": 0.5}, {})
        assert again.run_id == run_id
        assert {run.name: run.state for run in tracker.runs_of("parent")} == {
            **({"one": "finished"} if others else {}),
            "two": "finished",
        }
        assert (folder / "artifacts" / run_id / "artifacts" / "curve.csv").is_file()
        assert content(other) == was
    for folder in folders:
        assert {place.name for place in (folder / "artifacts").iterdir()} >= {run_id}
        assert all(address.startswith(folder.as_uri()) for address in addresses(folder))


def test_a_run_that_was_being_removed_is_not_missed(tmp_path: Path, original: Path) -> None:
    tracker = Tracker(original, "mcalc")
    (run,) = tracker.single_runs()
    # as far as a removal came before it was killed
    tracker.client.delete_run(run.run_id)
    shutil.rmtree(original / "artifacts" / run.run_id)
    now = tmp_path / "after"
    shutil.move(original, now)
    record(Tracker(now, "mcalc"), "two", "k2")
    assert read(now) == {"two": 2 / 3}


def test_another_experiments_place_is_left_alone(tmp_path: Path, original: Path) -> None:
    client = MlflowClient(tracking_uri=database_uri(original))
    elsewhere = (tmp_path / "somewhere else").as_uri()
    other = client.create_experiment("of the user", elsewhere)
    run = client.create_run(other)
    now = tmp_path / "after"
    shutil.move(original, now)
    Tracker(now, "mcalc")
    again = MlflowClient(tracking_uri=database_uri(now))
    assert again.get_experiment(other).artifact_location == elsewhere
    assert str(again.get_run(run.info.run_id).info.artifact_uri).startswith(elsewhere)


def test_a_record_that_cannot_be_written_is_read(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = os.access

    def access(path: Path, mode: int) -> bool:
        # this process may write everywhere
        return mode != os.W_OK and able(path, mode)

    monkeypatch.setattr(os, "access", access)
    assert read(original) == {"one": 2 / 3}
