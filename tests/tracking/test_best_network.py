"""One network of those that are best stays, in whatever order their trials began and ended."""

from __future__ import annotations

import time
from itertools import permutations, product
from pathlib import Path

import pytest
from parameters import most_are_whole
from stores import begin_with_tables

from mcalc.config import TrackingConfig
from mcalc.results import VALIDATION_AUC
from mcalc.tracking import NETWORK_FILE, RunWriter, best_network, run_folder
from mcalc.tracking.names import PARENT_TAG
from mcalc.tracking.reader import finished_trials
from mcalc.tracking.tracker import Tracker

SPLIT = "split 1"
AREAS = {"worse": 0.6, "good": 0.75, "as good": 0.75}


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    begin_with_tables(tmp_path / "mlruns")
    return Tracker(tmp_path / "mlruns", "mcalc")


def keeps(tracker: Tracker, writer: RunWriter, sweep: str, name: str) -> None:
    """Write the network of a trial that ends, where it is kept."""
    if not tracker.best_network(sweep).is_beaten(SPLIT, name, AREAS[name]):
        with writer.new_file(NETWORK_FILE) as path:
            path.write_bytes(b"weights")


def ends(tracker: Tracker, writer: RunWriter, sweep: str, name: str) -> None:
    writer.finish({VALIDATION_AUC: AREAS[name]}, {"mcalc.split": SPLIT})
    tracker.best_network(sweep).remove_beaten(SPLIT)


def holders(tracking: TrackingConfig) -> dict[str, list[str]]:
    """Names of the trials of each sweep that have a network."""
    found: dict[str, list[str]] = {}
    for trial in finished_trials(tracking):
        with run_folder(tracking, trial, (NETWORK_FILE,)) as folder:
            if (folder / NETWORK_FILE).is_file():
                found.setdefault(trial.tags[PARENT_TAG], []).append(trial.name)
    return found


def test_one_of_the_best_stays_whichever_began_and_ended_first(
    tracker: Tracker, tmp_path: Path
) -> None:
    began = ("good", "worse", "as good"), ("as good", "worse", "good")
    cases = {
        f"sweep {number}": case
        for number, case in enumerate(product(began, permutations(AREAS), (False, True)))
    }
    for sweep, (order, ended, at_once) in cases.items():
        writers = {}
        for name in order:
            writers[name] = tracker.open_trial(name, name, {}, {}, sweep)
            time.sleep(0.002)  # MLflow tells starts apart by the millisecond
        for name in ended[:2] if at_once else ():
            keeps(tracker, writers[name], sweep, name)
        for name in ended:
            if not (at_once and name in ended[:2]):
                keeps(tracker, writers[name], sweep, name)
            ends(tracker, writers[name], sweep, name)
    kept = holders(TrackingConfig(dir=str(tmp_path / "mlruns")))
    for sweep, case in cases.items():
        assert kept.get(sweep) in (["good"], ["as good"]), f"began, ended, at once: {case}"


@pytest.mark.parametrize("areas", most_are_whole([[0.75, 0.5, 0.75, 0.6], [0.75], [0.7], [0.5]], 1))
def test_the_best_that_is_run_anew_leaves_one_network(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, areas: list[float]
) -> None:
    """Also where it ends less well, and what was as good has no network to stand for it."""
    monkeypatch.setattr(best_network, "_FIRST", 2)  # so that a few are many
    before = ""
    for name in AREAS:
        writer = tracker.open_trial(name, name, {}, {}, "sweep")
        keeps(tracker, writer, "sweep", name)
        ends(tracker, writer, "sweep", name)
        before = writer.run_id if name == "good" else before
    best = tracker.best_network("sweep")
    for area in areas:
        anew = tracker.open_trial("good", "good", {}, {}, "sweep")
        monkeypatch.setitem(AREAS, "good", area)
        keeps(tracker, anew, "sweep", "good")
        anew.finish({VALIDATION_AUC: area}, {"mcalc.split": SPLIT})
        tracker.supersede(before, anew.run_id)
        best.remove_beaten(SPLIT)
        before = anew.run_id
    assert holders(TrackingConfig(dir=str(tmp_path / "mlruns"))) == {"sweep": ["good"]}
