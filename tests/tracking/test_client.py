"""Two workers that write the same to a record at once: neither fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session
from stores import begin_with_tables

from mcalc.errors import UserError
from mcalc.tracking.tracker import Tracker


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    begin_with_tables(tmp_path / "mlruns")
    return Tracker(tmp_path / "mlruns", "mcalc")


@contextmanager
def meanwhile(write: Callable[[], None]) -> Iterator[list[str]]:
    """`write` happens between MLflow's look and its own insertion; yields what was interrupted."""
    seen: list[str] = []

    def interrupt(session: Session, *_: object) -> None:
        if not seen and session.new:
            seen.append("flush")
            write()

    event.listen(Session, "before_flush", interrupt)
    try:
        yield seen
    finally:
        event.remove(Session, "before_flush", interrupt)


def test_two_workers_describe_a_sweep_at_the_same_moment(tracker: Tracker, tmp_path: Path) -> None:
    run = tracker.open_sweep("s", "title", {})

    def other() -> None:
        with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as base:
            base.execute(
                "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
                ("mlflow.note.content", "the other's", run),
            )

    with meanwhile(other) as seen:
        tracker.describe(run, "mine")
    assert seen == ["flush"], "the other worker has written first"
    assert tracker.client.get_run(run).data.tags["mlflow.note.content"] == "mine"


def test_two_runs_of_the_same_new_data_begin_at_the_same_moment(
    tracker: Tracker, tmp_path: Path
) -> None:
    mine = tracker.open_trial("one", "k1", {}, {}, None)
    other = tracker.open_trial("two", "k2", {}, {}, None)
    fingerprint = "0123456789abcdef" * 4
    with meanwhile(lambda: other.data_set("phantom", fingerprint)) as seen:
        mine.data_set("phantom", fingerprint)
    assert seen == ["flush"], "the other worker has written first"
    for run in (mine, other):
        (entry,) = tracker.client.get_run(run.run_id).inputs.dataset_inputs
        assert fingerprint.startswith(entry.dataset.digest)


def test_a_note_that_the_database_never_takes_is_a_mistake_in_one_sentence(
    tracker: Tracker, tmp_path: Path
) -> None:
    run = tracker.open_sweep("s", "title", {})
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as base:
        base.execute("CREATE TRIGGER no BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(UserError, match=f"the note of run {run} was not written"):
        tracker.describe(run, "mine")
