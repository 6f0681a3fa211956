"""The record in a real MLflow store: what is written is what is read."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_record import CURVE, PREDICTIONS, record
from stores import begin_with_tables
from work import statements

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import Tracker


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    begin_with_tables(tmp_path / "mlruns")
    return Tracker(tmp_path / "mlruns", "mcalc")


def test_a_trial_reads_back_as_written_to_the_last_bit(tracker: Tracker, tmp_path: Path) -> None:
    run_id = record(tracker, "one", "k1")
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    assert (trial.run_id, trial.name, trial.key, trial.state) == (run_id, "one", "k1", "finished")
    assert trial.predictions.ids == PREDICTIONS.ids
    np.testing.assert_array_equal(trial.predictions.labels, PREDICTIONS.labels)
    np.testing.assert_array_equal(trial.predictions.probabilities, PREDICTIONS.probabilities)
    assert trial.curve == CURVE
    assert trial.metrics["accuracy"] == 2 / 3
    assert "auc" not in trial.metrics, "a figure that is no number is left out, not written as 0"
    assert trial.param("head.weight_lr") == 10
    assert trial.warnings == ("synthetic",)
    assert list(trial.crops) == ["lesion 2"]
    assert Path(trial.crops["lesion 2"]).is_file()


def test_the_curve_is_in_the_ui_with_iterations_as_steps(tracker: Tracker) -> None:
    run_id = record(tracker, "one", "k1")
    history = tracker.client.get_metric_history(run_id, "training/val_loss")
    assert [(entry.step, entry.value) for entry in history] == [
        (point.iteration, point.val_loss) for point in CURVE
    ]


def test_the_first_metric_of_a_run_says_how_good_it_is(tracker: Tracker) -> None:
    """MLflow's Compare page opens on it, for runs of one batch and of several."""
    quick = record(tracker, "one", "k1")
    slow = tracker.open_trial("two", "k2", {}, {}, None)
    for point in CURVE:
        slow.point(replace(point, val_auc=0.75))
        slow._flush()
    slow.finish({"accuracy": 0.5}, {})
    of_quick, of_slow = (
        next(iter(tracker.client.get_run(run).data.metrics)) for run in (quick, slow.run_id)
    )
    assert of_slow == "training/val_auc"
    assert of_quick in ("training/val_auc", "training/val_accuracy")  # no AUC of one class


def test_finished_is_found_by_key_and_failed_is_not(tracker: Tracker) -> None:
    run_id = record(tracker, "one", "k1")
    failing = tracker.open_trial("two", "k2", {}, {}, None)
    failing.fail("the loss is no number", "Traceback ...")
    found = tracker.finished("k1")
    assert found is not None
    assert (found.run_id, found.state) == (run_id, "finished")
    assert found.metrics["accuracy"] == 2 / 3
    assert tracker.finished("k1", parent="another sweep") is None
    assert tracker.finished("k2") is None
    run = tracker.client.get_run(failing.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mcalc.error"] == "the loss is no number"
    assert [f.path for f in tracker.client.list_artifacts(failing.run_id)] == ["traceback.txt"]


def test_a_run_that_a_killed_process_left_is_closed_by_the_next(tracker: Tracker) -> None:
    left = tracker.open_trial("one", "k1", {}, {}, None)
    again = tracker.open_trial("one", "k1", {}, {}, None)
    assert tracker.client.get_run(left.run_id).info.status == "KILLED"
    assert tracker.client.get_run(again.run_id).info.status == "RUNNING"


def test_a_run_that_was_cut_off_goes_on_as_the_same_run(tracker: Tracker) -> None:
    cut = tracker.open_trial("one", "k1", {"head.weight_lr": 10.0}, {}, "parent")
    for point in CURVE[:1]:
        cut.point(point)
    cut.fail("interrupted", "", killed=True)
    assert tracker.runs_of("parent")[0].state == "interrupted"
    on = tracker.open_trial("one", "k1", {"head.weight_lr": 10.0}, {}, "parent", cut.run_id)
    for point in CURVE:
        on.point(point)
    on.finish({"accuracy": 0.5}, {})
    (run,) = tracker.runs_of("parent")
    assert (run.run_id, run.state, run.key) == (cut.run_id, "finished", "k1")
    history = tracker.client.get_metric_history(run.run_id, "training/val_loss")
    assert [entry.step for entry in history] == [point.iteration for point in CURVE], (
        "an evaluation that was written before is not written twice"
    )


def test_a_pruned_run_is_marked_and_is_no_finished_one(tracker: Tracker, tmp_path: Path) -> None:
    pruned = tracker.open_trial("one", "k1", {}, {}, "parent")
    pruned.prune({"iterations": 3.0}, {"mcalc.stop_reason": "pruned"})
    (run,) = tracker.runs_of("parent")
    assert run.state == "pruned"
    assert tracker.client.get_run(run.run_id).info.status == "KILLED", "MLflow has no word for it"
    assert tracker.finished("k1", "parent") is None


def test_a_sweep_goes_on_in_the_same_parent_and_the_newest_sweep_is_read(
    tracker: Tracker, tmp_path: Path
) -> None:
    old = tracker.open_sweep("alexnet-aaaa", "alexnet", {})
    record(tracker, "AL1", "k1", old)
    tracker.close_sweep(old, {"trials": 1.0}, {"summary.json": "{}"}, complete=True)
    time.sleep(0.01)
    new = tracker.open_sweep("alexnet-bbbb", "alexnet", {})
    assert tracker.open_sweep("alexnet-bbbb", "alexnet", {}) == new != old
    assert [
        t.name for t in read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "alexnet")
    ] == ["AL1"], "a sweep without a finished trial does not hide the one before"
    record(tracker, "AL1", "k2", new)
    record(tracker, "AL2", "k3", new)
    time.sleep(0.01)
    rerun = record(tracker, "AL2", "k3", new)
    trials = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "alexnet")
    assert [t.name for t in trials] == ["AL1", "AL2"]
    assert trials[1].run_id == rerun, "of two finished runs of a name the newest counts"
    assert [
        t.name for t in read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "alexnet-aaaa")
    ] == ["AL1"]
    assert read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "googlenet") == []
    assert read_trials(TrackingConfig(dir=str(tmp_path / "mlruns"))) == [], (
        "trials of a sweep are no single trials"
    )


def test_nothing_recorded_and_an_unwritable_place_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make tables"):
        read_trials(TrackingConfig(dir=str(tmp_path / "nowhere")), "alexnet")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"tracking\.dir=PATH"):
        Tracker(tmp_path / "file" / "mlruns", "mcalc")


def test_a_run_is_closed_in_three_commits_with_all_of_its_curve(tracker: Tracker) -> None:
    trial = tracker.open_trial("one", "k1", {}, {}, None)
    for point in CURVE:
        trial.point(point)
    with statements() as sql:
        trial.table(PREDICTIONS)
        trial.finish({"accuracy": 2 / 3}, {"mcalc.data": "small"})
    # metrics, tags, and the run's end: each waits for the disk
    assert sql.commits == 3
    run = tracker.client.get_run(trial.run_id)
    assert run.data.metrics["training/val_loss"] == CURVE[-1].val_loss
    assert run.data.metrics["result/accuracy"] == 2 / 3
    assert "predictions.json" in run.data.tags["mlflow.loggedArtifacts"]


def test_a_curve_of_more_points_than_mlflow_takes_at_once_is_written_whole(
    tracker: Tracker,
) -> None:
    # 7 values each, of which MLflow takes 1000 in a call
    curve = [replace(CURVE[1], iteration=i, val_loss=i / 1000) for i in range(1, 301)]
    trial = tracker.open_trial("one", "k1", {}, {}, None)
    for point in curve:
        trial.point(point)
    trial.curve(curve)
    trial.finish({f"metric_{i}": float(i) for i in range(40)}, {})
    history = tracker.client.get_metric_history(trial.run_id, "training/val_loss")
    assert [(entry.step, entry.value) for entry in history] == [
        (point.iteration, point.val_loss) for point in curve
    ]
    assert tracker.client.get_run(trial.run_id).data.metrics["result/metric_39"] == 39
    assert not tracker.inspect(trial.run_id).problems
