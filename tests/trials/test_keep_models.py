"""Of the networks of a sweep the best of each split stays: what goes, and what works without."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from servers import tracking_server
from stores import images
from sweep_processes import SMALL, completed, in_training, start, wait_for

from mcalc.config import TrackingConfig
from mcalc.data.__main__ import main as data
from mcalc.predict.__main__ import main as predict
from mcalc.results import RecordedTrial
from mcalc.sqlite_file import url_of
from mcalc.sweep.__main__ import main as sweep_command
from mcalc.tracking import run_folder
from mcalc.tracking.reader import finished_trials
from mcalc.train import main as train

pytestmark = [pytest.mark.slow, pytest.mark.whole]

NETWORK = "network.pth"
GONE = "network-removed.txt"
BEST = (
    "tracking.keep_models=best", "protocol=patient", "protocol.validation=0.3",
    "data.phantom.lesions=60", "trainer.lr=0.003", "trainer.precision=fp32",
)  # fmt: skip
SEEDS = "seed=0,1,2"
"""Other networks."""
ONE = "protocol.seed=0"
"""On one split."""


def swept(folder: Path, *words: str, server: str | None = None) -> TrackingConfig:
    """The record after a sweep of small trials."""
    runs, store = folder / "runs", f"sqlite:///{folder / 'runs' / 'optuna.db'}"
    places = [f"tracking.dir={runs}", f"data.cache={images()}", f"storage={store}"]
    places += [f"tracking.uri={server}"] if server else []
    runs.mkdir(exist_ok=True)
    assert not train(["-m", *SMALL, *BEST, *places, *words])
    return TrackingConfig(dir=str(runs), uri=server)


def kept(tracking: TrackingConfig, trial: RecordedTrial) -> set[str]:
    with run_folder(tracking, trial, (NETWORK, GONE)) as folder:
        return {name for name in (NETWORK, GONE) if (folder / name).is_file()}


def only_the_best_of(tracking: TrackingConfig, trials: list[RecordedTrial]) -> RecordedTrial:
    """Its networks and no other is there; the trial that has it.

    Of equal ones it is any: the worker that ends later keeps none that only equals another.
    """
    holds = {trial.run_id: kept(tracking, trial) for trial in trials}
    (best,) = (trial for trial in trials if holds[trial.run_id] == {NETWORK})
    assert [*holds.values()].count({GONE}) == len(trials) - 1
    assert best.metrics["validation_auc"] == max(t.metrics["validation_auc"] for t in trials)
    return best


def checked(tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = sweep_command(["check", f"tracking.dir={tracking.dir}"])
    return status, capsys.readouterr().out


def refused(
    command: Callable[[list[str]], int], words: list[str], capsys: pytest.CaptureFixture[str]
) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


def says_why_it_has_none(
    folder: Path, tracking: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [trial for trial in finished_trials(tracking) if GONE in kept(tracking, trial)]
    assert gone, "the first was the best: nothing was removed"
    image = folder / "image.png"
    image.touch()
    words = [f"run={gone[0].run_id}", f"input={image}", f"tracking.dir={tracking.dir}"]
    text = refused(predict, words, capsys)
    assert "kept no network (network.pth); tracking.keep_models=best: run " in text
    assert "has at least the same AUC on validation" in text
    assert "run its trial again with tracking.keep_models=all rerun=true" in text


def test_the_best_by_validation_stays_and_the_record_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracking = swept(tmp_path, SEEDS, ONE, "name=mine")
    trials = finished_trials(tracking)
    areas = [trial.metrics["validation_auc"] for trial in trials]
    assert len(set(areas)) == 3, "else it is not said which is the best"
    only_the_best_of(tracking, trials)
    status, text = checked(tracking, capsys)
    assert status == 0, text
    says_why_it_has_none(tmp_path, tracking, capsys)
    # a better one that comes later takes its place, a worse one keeps none
    swept(tmp_path, "seed=0,1,2,3", ONE, "name=mine")
    only_the_best_of(tracking, finished_trials(tracking))
    status, text = checked(tracking, capsys)
    assert status == 0, text
    # what is missing without a word is a damage
    (lost,) = [trial for trial in finished_trials(tracking) if NETWORK in kept(tracking, trial)]
    place = Path(tracking.dir) / "artifacts" / lost.run_id / "artifacts" / NETWORK
    place.unlink()
    status, text = checked(tracking, capsys)
    assert status == 1
    assert f"its file {NETWORK} is missing" in text


def test_one_stays_for_each_split(tmp_path: Path) -> None:
    tracking = swept(tmp_path, "head.weight_lr=1,10", "seed=0,1", "name=mine")
    trials = finished_trials(tracking)
    assert len(trials) == 4
    splits = {trial.tags["mcalc.split"] for trial in trials}
    assert len(splits) == 2
    for split in splits:
        only_the_best_of(tracking, [t for t in trials if t.tags["mcalc.split"] == split])


def test_a_trial_that_is_run_anew_hands_its_place_to_its_new_run(tmp_path: Path) -> None:
    tracking = swept(tmp_path, "seed=0,1", ONE, "name=mine")
    before = only_the_best_of(tracking, finished_trials(tracking))
    swept(tmp_path, "seed=0,1", ONE, "name=mine", "rerun=true")
    after = only_the_best_of(tracking, finished_trials(tracking))
    assert (after.name, after.metrics["validation_auc"]) == (
        before.name,
        before.metrics["validation_auc"],
    )
    assert after.run_id != before.run_id


def test_workers_that_are_killed_leave_one_network_and_a_whole_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    storage = url_of(runs / "optuna.db")
    runs.mkdir()
    words = (
        *BEST, ONE, "seed=0,1,2,3", "name=mine", "trainer.max_iterations=10",
        f"tracking.dir={runs}", f"data.cache={images()}", f"storage={storage}",
    )  # fmt: skip
    workers = [start(*words, log=tmp_path / f"log{i}") for i in range(3)]
    wait_for(partial(in_training, storage), workers[2])
    wait_for(lambda: completed(storage) >= 1, workers[2])
    workers[0].process.send_signal(signal.SIGKILL)
    wait_for(lambda: completed(storage) >= 2, workers[2])
    workers[1].process.send_signal(signal.SIGKILL)
    assert workers[2].ended() == 0, workers[2].printed()
    tracking = TrackingConfig(dir=str(runs))
    trials = finished_trials(tracking)
    assert len(trials) == 4
    only_the_best_of(tracking, trials)
    status, text = checked(tracking, capsys)
    assert status == 0, text


def test_on_a_server_too(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with tracking_server(tmp_path / "server") as server:
        tracking = swept(tmp_path, "seed=0,1", ONE, "name=mine", server=server)
        only_the_best_of(tracking, finished_trials(tracking))


def test_where_nothing_ranks_trials_all_networks_stay_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = tmp_path / "split.csv"
    phantom = ["data=phantom", "data.phantom.lesions=60", f"data.cache={images()}"]
    assert data([*phantom, "protocol=patient", f"split_to={split}"]) == 0
    tracking = swept(
        tmp_path,
        "seed=0,1",
        f"protocol.split_file={split}",
        "protocol.validation=null",
        "name=mine",
    )
    for trial in finished_trials(tracking):
        assert kept(tracking, trial) == {NETWORK}
        assert any("every network is kept" in note for note in trial.warnings)
    assert "warning: tracking.keep_models=best: the split has no lesions" in capsys.readouterr().out


def test_nothing_is_chosen_by_what_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    text = refused(
        train, ["-m", *SMALL, "tracking.keep_models=best", SEEDS, ONE, "name=mine"], capsys
    )
    assert "tracking.keep_models=best: nothing ranks the trials of mine" in text
    assert "add protocol.validation=0.15" in text


def test_the_former_name_is_answered_with_the_present_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = refused(train, ["tracking.save_network=false"], capsys)
    assert "now it is tracking.keep_models=all, best or none" in text
