"""A trial found by its run's id, the beginning of it, or its name; anything else is explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stores import begin_with_tables

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.results import CurvePoint, Predictions
from mcalc.tracking.counting import count_again
from mcalc.tracking.lookup import find_trial, read_settings, unfinished_rerun, with_results
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import RunWriter, Tracker

PREDICTIONS = Predictions(("one", "two"), np.array([0, 1]), np.array([0.1 + 0.2, 1 / 3]))
CURVE = (CurvePoint(1, 0.1, 0.7, 0.5, 1 / 3, 0.5),)


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    begin_with_tables(tmp_path / "mlruns")
    return Tracker(tmp_path / "mlruns", "mcalc")


@pytest.fixture
def tracking(tmp_path: Path) -> TrackingConfig:
    return TrackingConfig(dir=str(tmp_path / "mlruns"))


def begun(
    tracker: Tracker, name: str, key: str, parent: str | None = None, again: str | None = None
) -> RunWriter:
    tags = {"mcalc.sweep_id": "mine"} if parent else {}
    return tracker.open_trial(name, key, {"head.weight_lr": 10.0}, tags, parent, None, again)


def finished(
    tracker: Tracker, name: str, key: str, parent: str | None = None, again: str | None = None
) -> str:
    run = begun(tracker, name, key, parent, again)
    run.text("seed: 0\n", "config.yaml")
    run.table(PREDICTIONS)
    run.curve(CURVE)
    run.finish({"accuracy": 0.5}, {})
    return run.run_id


def refusal(tracking: TrackingConfig, word: str) -> str:
    with pytest.raises(UserError) as raised:
        find_trial(tracking, word)
    return str(raised.value)


def test_by_id_by_its_first_digits_and_by_name(tracker: Tracker, tracking: TrackingConfig) -> None:
    first = finished(tracker, "it's mine", "k1")
    finished(tracker, "other", "k2")
    for word in (first, first[:6], first[:20], "it's mine"):
        trial = find_trial(tracking, word)
        assert (trial.run_id, trial.name, trial.key) == (first, "it's mine", "k1")
    trial = with_results(tracking, trial)
    np.testing.assert_array_equal(trial.predictions.probabilities, PREDICTIONS.probabilities)
    assert trial.predictions.ids == PREDICTIONS.ids
    assert str(trial.curve) == str(CURVE)
    assert read_settings(tracking, trial) == "seed: 0\n"


def test_a_name_means_the_newest_run_that_counts(
    tracker: Tracker, tracking: TrackingConfig
) -> None:
    older = finished(tracker, "AL1", "k1")
    newer = finished(tracker, "AL1", "k1")
    assert find_trial(tracking, "AL1").run_id == newer
    tracker.supersede(newer, older)
    assert find_trial(tracking, "AL1").run_id == older
    assert find_trial(tracking, newer).superseded, "by its id it is found"


def test_of_a_row_that_was_edited_the_trial_that_counts_is_meant(
    tracker: Tracker, tracking: TrackingConfig
) -> None:
    parent = tracker.open_sweep("mine", "mine", {})
    before = finished(tracker, "AL1", "k1", parent)
    after = finished(tracker, "AL1", "k2", parent)
    for word in ("AL1", "mine/AL1"):
        assert find_trial(tracking, word).run_id == after
    count_again(tracker, before)  # the row was edited back
    for word in ("AL1", "mine/AL1"):
        assert find_trial(tracking, word).run_id == before
    (reported,) = read_trials(tracking, "mine")
    assert reported.run_id == before


def test_a_name_of_several_trials_is_refused_with_their_ids(
    tracker: Tracker, tracking: TrackingConfig
) -> None:
    alone = finished(tracker, "AL1", "k1")
    parent = tracker.open_sweep("mine", "mine", {})
    swept = finished(tracker, "AL1", "k2", parent)
    message = refusal(tracking, "AL1")
    assert "means several recorded trials" in message
    assert f"{alone} (AL1)" in message
    assert f"{swept} (AL1 of the sweep mine)" in message
    assert f"run {parent} is the sweep mine, not a trial" in refusal(tracking, parent)
    assert f"as {swept} (AL1 of the sweep mine)" in refusal(tracking, parent)


def test_digits_that_begin_a_run_and_are_the_name_of_another(
    tracker: Tracker, tracking: TrackingConfig
) -> None:
    first = finished(tracker, "AL1", "k1")
    finished(tracker, first[:8], "k2")
    assert "means several" in refusal(tracking, first[:8])
    assert find_trial(tracking, first[:9]).run_id == first


def test_what_is_not_there_gets_the_nearest(tracker: Tracker, tracking: TrackingConfig) -> None:
    run = finished(tracker, "alexnet-15", "k1")
    said = refusal(tracking, "alexnet-51")
    assert "did you mean 'alexnet-15'?" in said
    assert f"under tracking.dir={tracking.dir} no run" in said
    wrong = ("0" if run[0] != "0" else "1") + run[1:]
    assert f"did you mean '{run}'?" in refusal(tracking, wrong)
    assert "of an id give at least six digits" in refusal(tracking, run[:5])


def test_nothing_recorded(tmp_path: Path) -> None:
    tracking = TrackingConfig(dir=str(tmp_path / "none"))
    assert "tracking.dir=PATH" in refusal(tracking, "AL1")
    assert not (tmp_path / "none").exists()


def test_runs_that_did_not_finish_are_refused_by_what_became_of_them(
    tracker: Tracker, tracking: TrackingConfig
) -> None:
    failed, pruned, cut, running = (begun(tracker, f"t{i}", f"k{i}") for i in range(4))
    failed.fail("out of memory", "")
    pruned.prune({}, {})
    cut.fail("interrupted", "", killed=True)
    for run, said in (
        (failed, "failed: it has no result"),
        (pruned, "was pruned"),
        (cut, "was interrupted"),
        (running, "is running"),
    ):
        assert said in refusal(tracking, run.run_id)
    assert "failed" in refusal(tracking, "t0"), "by its name too"
    client = tracker.client
    other = client.create_run(tracker.experiment_id).info.run_id
    assert "no trial that mcalc recorded" in refusal(tracking, other)
    gone = finished(tracker, "gone", "k9")
    client.delete_run(gone)
    assert "was deleted in MLflow" in refusal(tracking, gone)
    assert "no trial this name" in refusal(tracking, "gone")


@pytest.mark.parametrize(
    "content", ["", "lesion,malignant\none,0\n", "lesion,malignant,probability\none,0,high\n",
                "lesion,malignant,probability\none\n"]
)  # fmt: skip
def test_damaged_and_missing_files(
    tracker: Tracker, tracking: TrackingConfig, content: str
) -> None:
    run = finished(tracker, "AL1", "k1")
    trial = find_trial(tracking, run)
    tracker.client.log_text(run, content, "predictions.csv")
    if content:
        with pytest.raises(UserError, match=r"predictions.csv of run .* is damaged"):
            with_results(tracking, trial)
    else:
        assert with_results(tracking, trial).predictions.ids == (), "compared as what it is"
    (file,) = Path(tracking.dir).rglob("config.yaml")
    file.unlink()
    with pytest.raises(UserError, match=r"config.yaml of run .* is not among its artifacts"):
        read_settings(tracking, trial)


def test_a_rerun_is_no_trial_to_anything_else(tracker: Tracker, tracking: TrackingConfig) -> None:
    old = finished(tracker, "AL1", "k1")
    again = finished(tracker, "AL1", "k1", again=old)
    done = tracker.finished("k1")
    assert done is not None
    assert done.run_id == old
    assert [trial.run_id for trial in read_trials(tracking)] == [old]
    assert find_trial(tracking, "AL1").run_id == old
    assert find_trial(tracking, again).run_id == again, "by its id it can be run again itself"


def test_a_rerun_that_was_cut_off_is_found(tracker: Tracker, tracking: TrackingConfig) -> None:
    old = finished(tracker, "AL1", "k1")
    assert unfinished_rerun(tracking, old) is None
    finished(tracker, "AL1", "k1", again=old)
    assert unfinished_rerun(tracking, old) is None
    left = begun(tracker, "AL1", "k1", again=old)
    found = unfinished_rerun(tracking, old)
    assert found is not None
    assert found.run_id == left.run_id
    other = begun(tracker, "AL1", "k1", again="another")
    assert tracker.client.get_run(left.run_id).info.status == "RUNNING", "of another run"
    begun(tracker, "AL1", "k1", again="another")
    assert tracker.client.get_run(other.run_id).info.status == "KILLED"
