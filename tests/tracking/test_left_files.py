"""What a dead worker left of a run's files is gone when another one has closed the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import tracking_server
from stores import begin_with_tables

from mcalc.tracking import NETWORK_FILE, RunWriter
from mcalc.tracking.files import NETWORK_GONE_FILE
from mcalc.tracking.manifest import FILE
from mcalc.tracking.tracker import Tracker

# one server for all
pytestmark = pytest.mark.xdist_group("left files")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tracking_server(tmp_path_factory.mktemp("server")) as address:
        yield address


Does = Callable[[RunWriter], None]


def opened(tracker: Tracker, run_id: str | None = None) -> RunWriter:
    return tracker.open_trial("one", "k1", {}, {}, "sweep", run_id)


def keeps(writer: RunWriter) -> None:
    with writer.new_file(NETWORK_FILE) as path:
        path.write_bytes(b"weights")


def is_beaten(writer: RunWriter) -> None:
    writer.text("another one is better", NETWORK_GONE_FILE)


def files(tracker: Tracker, run_id: str) -> set[str]:
    return {file.path for file in tracker.client.list_artifacts(run_id)}


@pytest.mark.parametrize("before", [keeps, is_beaten])
@pytest.mark.parametrize("after", [keeps, is_beaten])
@pytest.mark.parametrize("place", ["here", "server"])
def test_a_run_that_another_worker_closes_has_the_files_of_that_one(
    tmp_path: Path, request: pytest.FixtureRequest, place: str, before: Does, after: Does
) -> None:
    if place == "here":
        begin_with_tables(tmp_path / "mlruns")
    uri = request.getfixturevalue("server") if place == "server" else None
    tracker = Tracker(tmp_path / "mlruns", "mcalc", uri)
    run_id = None
    for does in (before, after):
        writer = opened(tracker, run_id)
        run_id = writer.run_id
        does(writer)
        writer.text("a result", "result.txt")
    # the second alone lives to close it
    writer.finish({}, {})
    kept = NETWORK_FILE if after is keeps else NETWORK_GONE_FILE
    assert files(tracker, writer.run_id) == {kept, "result.txt", FILE}
    assert not tracker.inspect(writer.run_id).problems


def test_what_lies_in_folders_goes_too_but_not_of_a_finished_run(tmp_path: Path) -> None:
    begin_with_tables(tmp_path / "mlruns")
    tracker = Tracker(tmp_path / "mlruns", "mcalc")
    run_id = opened(tracker).run_id
    opened(tracker, run_id).text("a picture", "images/at 10 o'clock.png")
    second = opened(tracker, run_id)
    second.text("a picture", "images/at 11 o'clock.png")
    second.finish({}, {})
    assert [file.path for file in tracker.client.list_artifacts(run_id, "images")] == [
        "images/at 11 o'clock.png"
    ]
    opened(tracker, run_id)
    assert "images" in files(tracker, run_id)


def test_a_run_whose_worker_was_killed_as_it_closed_it_is_sealed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_with_tables(tmp_path / "mlruns")
    tracker = Tracker(tmp_path / "mlruns", "mcalc")
    first = opened(tracker)
    with monkeypatch.context() as killed:
        killed.setattr(first, "_terminate", lambda status: None)
        first.finish({"accuracy": 0.5, "seconds": 1.0}, {"mcalc.data": "some"})
    second = opened(tracker, first.run_id)
    sealed = second.finish({"accuracy": 0.5, "seconds": 2.0}, {"mcalc.data": "some"})
    found = tracker.inspect(second.run_id, sealed)
    assert not found.problems
    assert tracker.run(second.run_id).metrics["seconds"] == 2.0
