"""The door as a user meets it: real processes, real stores, real failures."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import optuna
import processes
import pytest
import torch
from mlflow.tracking import MlflowClient
from optuna.trial import TrialState
from parameters import most_are_whole
from small_network import SMALL_BACKBONE, SMALL_NETWORK
from stores import begin_with_images, begin_with_tables

from mcalc.config import TrackingConfig
from mcalc.config.compose import compose_config
from mcalc.data.pipeline import index_data, prepare_data
from mcalc.models.backbones import build_classifier
from mcalc.models.classifier import Classifier
from mcalc.results import RecordedTrial
from mcalc.sweep.__main__ import main as look
from mcalc.sweep.store.storage import DATABASE
from mcalc.tracking.places import database_uri
from mcalc.tracking.reader import read_trials
from mcalc.train import main

pytestmark = pytest.mark.slow
of_the_sweep = pytest.mark.xdist_group("swept")  # one process runs it for all of them

TRIAL = [
    "data.phantom.lesions=32",
    "trainer.batch_size=4",
    "trainer.max_iterations=6",
    "trainer.val_every=2",
    "tracking.keep_models=none",
]
SMALL = [*SMALL_NETWORK, *TRIAL]
SWEEP = """
description: four rows of which one cannot train
overrides: [backbone=squeezenet, backbone.weights=none, backbone.name=small]
rows:
  A: {stopping.patience: 1}
  B: {stopping.patience: 3}
  C: {head.weight_lr: 1.0e+30}
  D: {head.weight_lr: 15}
"""


def storage_uri(folder: Path) -> str:
    return f"sqlite:///{folder / DATABASE}"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    begin_with_tables(folder / "mlruns")
    begin_with_images(folder)
    return processes.run("mcalc.train", *arguments, folder=folder)


def ended_well(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a refusal; no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str, str]:
    """A folder in which a sweep has run once: folder, arguments, what it printed and its error."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "mine.yaml").write_text(SWEEP)
    arguments = ["-m", "sweep=mine", *SMALL]
    done = run(folder, *arguments)
    return folder, arguments, done.stdout, refused(done)


@of_the_sweep
def test_a_failing_trial_is_recorded_and_the_sweep_goes_on(
    swept: tuple[Path, list[str], str, str],
) -> None:
    folder, _, printed, error = swept
    assert "1 of 4 trials failed" in error
    assert "training diverged" in error
    assert "4 trials in 3 training runs" in printed
    assert [
        trial.name for trial in read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")
    ] == ["A", "B", "D"]


@of_the_sweep
def test_optuna_and_mlflow_say_the_same(swept: tuple[Path, list[str], str, str]) -> None:
    folder = swept[0]
    (name,) = optuna.get_all_study_names(storage_uri(folder / "mlruns"))
    study = optuna.load_study(study_name=name, storage=storage_uri(folder / "mlruns"))
    states = {trial.user_attrs["name"]: trial.state for trial in study.trials}
    done, failed = TrialState.COMPLETE, TrialState.FAIL
    assert states == {"A": done, "B": done, "C": failed, "D": done}
    client = MlflowClient(tracking_uri=database_uri(folder / "mlruns"))
    runs = client.search_runs([client.get_experiment_by_name("mcalc").experiment_id])
    (parent,) = [run for run in runs if run.data.tags["mcalc.kind"] == "sweep"]
    children = {run.info.run_name: run for run in runs if run is not parent}
    for child in children.values():
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert {name: run.info.status for name, run in children.items()} == {
        "A": "FINISHED", "B": "FINISHED", "C": "FAILED", "D": "FINISHED",
    }  # fmt: skip
    for trial in study.trials:
        child = children[trial.user_attrs["name"]]
        assert child.data.tags["mcalc.key"] == trial.user_attrs["key"]
        if trial.state is done:
            assert child.data.metrics["result/accuracy"] == trial.value
    assert children["A"].data.params["stopping.patience"] == "1"
    assert children["B"].data.params["stopping.patience"] == "3"
    # so that MLflow's page finds runs by what they were trained on, one that failed too
    for each in runs:
        (entry,) = each.inputs.dataset_inputs
        assert entry.dataset.name == "phantom"
        assert children["A"].data.tags["mcalc.fingerprint"].startswith(entry.dataset.digest)
    runs_of = {name: child.data.tags["mcalc.trajectory"] for name, child in children.items()}
    assert runs_of["A"] == runs_of["B"] != runs_of["D"]


@of_the_sweep
def test_the_record_of_a_trial_is_complete(swept: tuple[Path, list[str], str, str]) -> None:
    folder = swept[0]
    client = MlflowClient(tracking_uri=database_uri(folder / "mlruns"))
    trial = read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")[0]
    files = {file.path for file in client.list_artifacts(trial.run_id)}
    assert files == {
        "config.yaml", "manifest.json", "predictions.json", "predictions.csv", "curve.csv",
        "curve.png", "samples.csv", "logits.csv", "split.csv", "inputs.json", "masks",
        "confusion.png", "crops.png", "crops", "images", "baselines.json",
    }  # fmt: skip
    for tag in (
        "device", "precision", "threads", "versions", "git", "fingerprint", "weights", "data",
        "split", "leak", "protocol", "stop_reason",
    ):  # fmt: skip
        assert trial.tags[f"mcalc.{tag}"]
    assert any("synthetic" in note for note in trial.warnings)
    assert len(trial.crops) > 2
    picture = cv2.imread(next(iter(trial.crops.values())), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture.shape == (SMALL_BACKBONE.contract.size, SMALL_BACKBONE.contract.size)
    labels, probabilities = trial.predictions.labels, trial.predictions.probabilities
    assert trial.metrics["accuracy"] == np.mean((probabilities > 0.5) == labels)


@pytest.mark.whole
@of_the_sweep
def test_the_same_command_skips_what_is_finished_and_tries_the_failed_again(
    swept: tuple[Path, list[str], str, str],
) -> None:
    folder, arguments, _, _ = swept
    before = {
        t.name: t.run_id for t in read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")
    }
    plan = ended_well(run(folder, *arguments, "dry_run=true"))
    assert "3 finished, 1 to run" in plan
    refused(run(folder, *arguments))
    assert {
        t.name: t.run_id for t in read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")
    } == before
    study = optuna.load_study(study_name=None, storage=storage_uri(folder / "mlruns"))
    counts = Counter(trial.user_attrs["name"] for trial in study.trials)
    assert counts == {"A": 1, "B": 1, "C": 2, "D": 1}


@pytest.mark.whole
@of_the_sweep
def test_losing_the_study_repeats_nothing_that_mlflow_has(
    swept: tuple[Path, list[str], str, str], tmp_path: Path
) -> None:
    folder, arguments, _, _ = swept
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mlruns" / "optuna.db").unlink()
    done = run(tmp_path, *arguments)
    refused(done)  # C fails again
    assert done.stdout.count("kept") == 3
    study = optuna.load_study(study_name=None, storage=storage_uri(tmp_path / "mlruns"))
    finished = [t for t in study.trials if t.state is TrialState.COMPLETE]
    before = {
        t.run_id: t.metrics["accuracy"]
        for t in read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")
    }
    assert {t.user_attrs["mlflow_run"]: t.value for t in finished} == before


@pytest.mark.whole
def test_a_single_trial_runs_once_and_again_on_request(tmp_path: Path) -> None:
    first = ended_well(run(tmp_path, *SMALL, "name=mine"))
    assert "mine: accuracy" in first
    again = ended_well(run(tmp_path, *SMALL, "name=mine"))
    assert "finished already" in again
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    rerun = ended_well(run(tmp_path, *SMALL, "name=mine", "rerun=true"))
    (same,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    assert same.run_id != trial.run_id
    np.testing.assert_array_equal(
        same.predictions.probabilities, trial.predictions.probabilities, "same seed, same numbers"
    )
    assert [line for line in rerun.splitlines() if "mine: accuracy" in line]


LONG = [
    "backbone=squeezenet", "backbone.weights=none", *TRIAL,
    "trainer.max_iterations=16", "trainer.val_every=4", "stopping.network=best",
]  # fmt: skip
"""So long that it is met in training."""


def cut_off(folder: Path, blow: signal.Signals, *arguments: str) -> processes.Started:
    """Start a sweep and stop it when its second training run has written a checkpoint."""
    started = processes.start("mcalc.train", *arguments, folder=folder)
    checkpoints = folder / "mlruns" / "checkpoints"
    processes.wait_for(
        lambda: "1 of 2 done" in started.stdout and list(checkpoints.glob("*.pth")), started
    )
    started.send_signal(blow)
    return started


def agree(folder: Path, capsys: pytest.CaptureFixture[str], counted: str) -> None:
    """Optuna and MLflow say the same of the folder's sweeps."""
    capsys.readouterr()
    assert look(["check", f"tracking.dir={folder / 'mlruns'}"]) == 0
    printed = capsys.readouterr().out
    assert counted in printed
    assert "agree" in printed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RecordedTrial]:
    """The trials of a sweep that nothing disturbed, by name."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ended_well(run(folder, "-m", *LONG, "head.weight_lr=1,5", "name=mine"))
    return {
        trial.name: trial
        for trial in read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")
    }


@pytest.mark.whole
@pytest.mark.xdist_group("undisturbed")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_was_stopped_goes_on_from_its_checkpoint_to_the_same_numbers(
    tmp_path: Path,
    undisturbed: dict[str, RecordedTrial],
    blow: signal.Signals,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["-m", *LONG, "head.weight_lr=1,5", "name=mine"]
    started = cut_off(tmp_path, blow, *arguments, "tracking.checkpoint_minutes=0.001")
    status = started.wait()
    if blow is signal.SIGINT:
        assert status == 130
        assert "the same command resumes" in started.stderr
        assert "Traceback" not in started.stderr
    first = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "mine")
    printed = ended_well(run(tmp_path, *arguments))
    assert "1 finished, 1 to run" in printed
    assert "resumes from iteration" in printed
    trials = {
        trial.name: trial
        for trial in read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "mine")
    }
    assert trials.keys() == undisturbed.keys()
    assert trials[first[0].name].run_id == first[0].run_id, "what was finished is untouched"
    for name, trial in trials.items():
        whole = undisturbed[name]
        assert trial.curve == whole.curve
        np.testing.assert_array_equal(
            trial.predictions.probabilities, whole.predictions.probabilities
        )
        timeless = {key: value for key, value in trial.metrics.items() if key != "seconds"}
        assert timeless == {key: whole.metrics[key] for key in timeless}
    assert not list((tmp_path / "mlruns" / "checkpoints").iterdir())
    agree(tmp_path, capsys, "mine: 2 complete")


def nearly_full() -> None:
    """Files may not grow beyond this; the network is larger, the databases are not."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))


@pytest.mark.whole
def test_a_full_disk_stops_the_sweep_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "-m", "backbone=squeezenet", "backbone.weights=none", *TRIAL, "tracking.keep_models=all",
        "head.weight_lr=1,5", "name=mine",
    ]  # fmt: skip
    # the stores are made while there is room
    ended_well(run(tmp_path, "-m", *SMALL, "head.weight_lr=1,3", "name=other"))

    full = processes.run("mcalc.train", *arguments, folder=tmp_path, before=nearly_full)
    message = refused(full)
    assert "no space is left to record in mlruns" in message
    assert "give the same command again" in message
    ended_well(run(tmp_path, *arguments))
    trials = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "mine")
    assert [trial.name for trial in trials] == ["head.weight_lr=1", "head.weight_lr=5"]
    agree(tmp_path, capsys, "mine: 2 complete")


@pytest.mark.whole
def test_the_saved_network_gives_the_recorded_predictions(tmp_path: Path) -> None:
    # in the arithmetic of the look below
    network = ("stopping.network=best", "trainer.precision=fp32", "trainer.channels_last=false")
    ended_well(run(tmp_path, *SMALL, *network, "tracking.keep_models=all", "name=mine"))
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    client = MlflowClient(tracking_uri=database_uri(tmp_path / "mlruns"))
    file = client.download_artifacts(trial.run_id, "network.pth", str(tmp_path))
    # built from the settings with other random weights, all of which the file has to replace
    config = compose_config([*SMALL, *network, f"data.cache={tmp_path / '.cache'}"])
    built = build_classifier(config.backbone, seed=99)
    built.model.load_state_dict(torch.load(file, weights_only=True))
    module = Classifier(built, config.backbone, config.head, config.trainer).eval()
    ready = prepare_data(index_data(config.data), config, built.contract.size)
    reported = [ready.samples[i] for i in ready.split.reported]
    images = torch.from_numpy(ready.prepared.images[[sample.image for sample in reported]])
    with torch.no_grad():
        probabilities = torch.softmax(module(images[:, None]).double(), 1)[:, 1]
    assert tuple(sample.id for sample in reported) == trial.predictions.ids
    np.testing.assert_allclose(trial.predictions.probabilities, probabilities.numpy(), atol=1e-6)


@pytest.mark.whole
def test_three_classes_train_and_are_scored_as_malignant_against_the_rest(tmp_path: Path) -> None:
    ended_well(run(tmp_path, *SMALL, "name=three", "data.benign_without_callback=own_class"))
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    assert set(trial.predictions.labels) == {0, 1}
    assert trial.params["data.benign_without_callback"] == "own_class"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["head.wieght_lr=1"], ["unknown key 'head.wieght_lr'", "did you mean 'head.weight_lr'"]),
        (["-m", "head.weight_lr=1,ten"], ["head.weight_lr=ten", "expected a number"]),
        (["-m", "sweep=alexnot"], ["no such sweep", "did you mean 'alexnet'"]),
        (["-m", "seed=1"], ["needs something to vary"]),
        (["sweep=alexnet"], ["add -m"]),
        (["data=cbis_ddsm", "data.root=nowhere"], ["nowhere"]),
        (["data=cbis_ddsm", "data.root=empty"], ["empty"]),
        (["backbone.weights=nowhere.pth"], ["nowhere.pth"]),
        (["protocol.held_out=0.99", *SMALL], ["both classes are needed", "protocol.held_out"]),
        (["trainer.batch_size=999", "backbone=squeezenet", "backbone.weights=none",
          "data.phantom.lesions=32"], ["trainer.batch_size=999", "smaller batch"]),
        (["trainer.accelerator=gpu", *SMALL], ["trainer.accelerator=gpu"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_status_2(
    tmp_path: Path,
    arguments: list[str],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # the door's own function: a process for each would spend its time importing torch
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mcalc.train", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    printed = capsys.readouterr()
    assert left.value.code == 2, printed.out + printed.err
    (message,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in printed.out + printed.err
    for part in said:
        assert part in message


def test_a_mistake_looks_the_same_from_outside(tmp_path: Path) -> None:
    message = refused(run(tmp_path, "head.wieght_lr=1"))
    assert "did you mean 'head.weight_lr'" in message


@pytest.mark.whole
def test_imagenet_without_a_network_fails_with_the_remedy_or_falls_back_loudly(
    tmp_path: Path,
) -> None:
    arguments = [*SMALL, "backbone.weights=imagenet"]
    environment = {
        **os.environ,
        "TORCH_HOME": str(tmp_path / "torch"),
        # nothing listens there: no network, wherever this test runs
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }

    def train(*more: str) -> subprocess.CompletedProcess[str]:
        return processes.run(
            "mcalc.train", *arguments, *more, folder=tmp_path, environment=environment
        )

    message = refused(train())
    assert "backbone.weights=PATH" in message
    assert "backbone.on_missing_weights=random" in message
    assert not [*(tmp_path / "mlruns").glob("artifacts/*")], "a failed run"
    printed = ended_well(train("backbone.on_missing_weights=random"))
    assert "warning: " in printed
    (trial,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")))
    assert any("random" in note for note in trial.warnings)
    assert "random" in trial.tags["mcalc.weights"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("backbone.freeze=77", "freeze=77: small has 1 stage below its head"),
        ("metrics=[auk]", "metrics='auk' is unknown"),
        ("trainer.batch_size=90", "trainer.batch_size=90 is more than the "),
        ("backbone.weights=w.txt", "not .txt; give a file of one of these kinds"),
        ("backbone.weights=w", "not one without an ending; give a file of one of these kinds"),
    ],
)
@pytest.mark.parametrize("several", most_are_whole([[], ["-m", "seed=0,1", "dry_run=true"]], 1))
def test_what_a_trial_would_fail_of_is_no_failed_run(
    setting: str, said: str, several: list[str], tmp_path: Path
) -> None:
    for name in ("w", "w.txt"):
        (tmp_path / name).write_text("weights")
    line = refused(run(tmp_path, *several, *SMALL, setting))
    assert said in line
    assert not [*(tmp_path / "mlruns").glob("artifacts/*")]
