"""Files of a run that a server keeps: fetched when they are needed, and not left behind."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from servers import tracking_server
from stores import begin_with_tables

from mcalc import runs
from mcalc.config import TrackingConfig
from mcalc.results import CurvePoint, Predictions
from mcalc.tracking import NETWORK_FILE, read_trials, run_folder
from mcalc.tracking.files import CROPS
from mcalc.tracking.tracker import Tracker

# one server for all
pytestmark = [pytest.mark.whole, pytest.mark.xdist_group("stored files")]
SWEEP = "alexnet"
IDS = tuple(f"P_{i}" for i in range(6))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tracking_server(tmp_path_factory.mktemp("server")) as address:
        tracker = Tracker(tmp_path_factory.mktemp("worker"), "mcalc", address)
        record(tracker)
        yield address


def record(tracker: Tracker) -> str:
    """A sweep of one trial with a crop and its network; the id of its run."""
    parent = tracker.open_sweep(f"{SWEEP}-1", SWEEP, {})
    tags = {"mcalc.protocol": "patient"}
    trial = tracker.open_trial("AL1", "key", {"backbone.name": "alexnet"}, tags, parent)
    labels = np.array([0, 1] * 3)
    trial.table(Predictions(IDS, labels, np.linspace(0.1, 0.9, 6), IDS))
    point = CurvePoint(50, 0.5, 0.7, 0.5, 0.6, 0.7)
    trial.point(point)
    trial.curve([point])
    trial.text("a crop", f"{CROPS}/P_0.png")
    with trial.new_file(NETWORK_FILE) as network:
        network.write_bytes(b"weights")
    trial.finish({"accuracy": 0.5}, {})
    tracker.close_sweep(parent, {}, {}, complete=True)
    return trial.run_id


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go from now on."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_what_is_read_from_a_server_stays_as_long_as_its_trial(
    server: str, temporary: Path, tmp_path: Path
) -> None:
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path), uri=server), SWEEP)
    assert trial.predictions.ids == IDS
    assert Path(trial.crops["P_0"]).read_bytes() == b"a crop"
    # 228 MB of an AlexNet, where a table needs none of it
    assert not [*temporary.rglob(NETWORK_FILE)]
    assert trial.network is not None
    with trial.network() as file:
        assert file.read_bytes() == b"weights"
    assert not [*temporary.rglob(NETWORK_FILE)]
    assert [*temporary.iterdir()]
    # a page of its own is written by another process
    again = pickle.loads(pickle.dumps(trial))
    with again.network() as file:
        assert file.read_bytes() == b"weights"
    del trial, again
    gc.collect()
    assert not [*temporary.iterdir()]


def test_a_check_leaves_nothing_of_what_it_fetched(
    server: str, temporary: Path, tmp_path: Path
) -> None:
    tracker = Tracker(tmp_path / "mlruns", "mcalc", server)
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path), uri=server), SWEEP)
    found = tracker.inspect(trial.run_id, trial.manifest)
    assert not found.problems
    assert found.files is not None
    assert tracker.is_recoverable(trial.run_id, trial.manifest)
    predictions = tracker.predictions_of(trial.run_id)
    assert predictions is not None
    assert predictions.ids == IDS
    assert [point.iteration for point in tracker.curve_of(trial.run_id)] == [50]
    with run_folder(TrackingConfig(uri=server), trial, [CROPS, "not there"]) as folder:
        assert {path.name for path in folder.rglob("*.png")} == {"P_0.png"}
    del trial
    gc.collect()
    assert not [*temporary.iterdir()]


def test_a_notebook_reads_a_server_by_its_address(server: str, temporary: Path) -> None:
    table = runs.table(server)
    assert list(table["name"]) == ["AL1"]
    assert list(runs.predictions(f"{SWEEP}/AL1", server)["lesion"]) == list(IDS)
    gc.collect()
    assert not [*temporary.iterdir()]


def test_a_report_leaves_nothing_behind(server: str, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    place = [f"tracking.uri={server}", f"tracking.dir={tmp_path / 'mlruns'}"]
    ran = subprocess.run(
        [sys.executable, "-m", "mcalc.report", f"out={tmp_path / 'report'}", *place],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not [*temporary.iterdir()]


def test_a_run_of_a_record_here_is_read_where_it_lies(tmp_path: Path, temporary: Path) -> None:
    directory = tmp_path / "mlruns"
    begin_with_tables(directory)
    run_id = record(Tracker(directory, "mcalc"))
    (trial,) = read_trials(TrackingConfig(dir=str(directory)), SWEEP)
    assert trial.network is not None
    with pickle.loads(pickle.dumps(trial)).network() as file:
        assert file == directory / "artifacts" / run_id / "artifacts" / NETWORK_FILE
    assert not [*temporary.glob("mcalc-fetched-*")]
