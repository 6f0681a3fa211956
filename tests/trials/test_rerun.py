"""`from_run=ID` as a user meets it: real commands in processes, real records, real tampering."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import processes
import pytest
import torch
import yaml
from small_network import SMALL_BACKBONE
from stores import begin_with_images, begin_with_tables
from sweep_processes import SMALL as COMMON
from sweep_processes import SQUEEZENET

from mcalc.config import NUMERICS_VERSION, PhantomConfig, TrackingConfig
from mcalc.config.compose import compose_config
from mcalc.config.identity import keys_of, numeric_settings
from mcalc.data.phantom.download import write_phantom
from mcalc.results import RecordedTrial
from mcalc.sweep.__main__ import main as look
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import Tracker
from mcalc.train import main

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.xdist_group("rerun")]
SMALL = (
    *COMMON, "trainer.precision=fp32", "trainer.channels_last=false", "augment.place=cpu",
)  # fmt: skip
"""The same on every machine: some of these tests write what another one has."""
WITHOUT_NETWORK = "tracking.keep_models=none"


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    begin_with_tables(folder / "mlruns")
    begin_with_images(folder)
    given = {**os.environ, **environment}
    return processes.run("mcalc.train", *arguments, folder=folder, environment=given)


def again(folder: Path, word: str, *arguments: str, status: int = 0, **environment: str) -> str:
    """What the re-run prints; it has to end with this status."""
    done = run(folder, f"from_run={word}", WITHOUT_NETWORK, *arguments, **environment)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> str:
    """The one sentence of a refusal, from the door's own function: no process imports torch."""
    monkeypatch.chdir(folder)
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error: ")]
    return line


def single(folder: Path) -> RecordedTrial:
    """The one single trial of a folder's record."""
    (trial,) = read_trials(TrackingConfig(dir=str(folder / "mlruns")))
    return trial


def reruns(folder: Path) -> list[RecordedTrial]:
    """Re-runs in a folder's record, the newest first."""
    tracker = Tracker(folder / "mlruns", "mcalc")
    found = [tracker.run(run.info.run_id) for run in tracker._search({"mcalc.kind": "rerun"})]
    return [trial for trial in found if trial]


def artifact(folder: Path, trial: RecordedTrial, name: str) -> Path:
    (file,) = (folder / "mlruns" / "artifacts" / trial.run_id).rglob(name)
    return file


@contextmanager
def tampered(folder: Path, changes: dict[Path, str], *statements: str) -> Iterator[None]:
    """Other contents of files and of MLflow's database while inside.

    With statements, what a command records inside is gone afterwards.
    """
    before = {file: file.read_text() for file in changes}
    database = folder / "mlruns" / "mlflow.db"
    copied = sqlite3.connect(":memory:")
    if statements:
        with closing(sqlite3.connect(database)) as connection:
            connection.backup(copied)
            for statement in statements:
                assert connection.execute(statement).rowcount > 0, statement
            connection.commit()
    for file, text in changes.items():
        file.write_text(text)
    try:
        yield
    finally:
        for file, text in before.items():
            file.write_text(text)
        if statements:
            with closing(sqlite3.connect(database)) as connection:
                copied.backup(connection)
        copied.close()


def set_tag(run_id: str, **tags: str) -> list[str]:
    return [
        f"UPDATE tags SET value = '{value}' WHERE run_uuid = '{run_id}' AND key = 'mcalc.{name}'"
        for name, value in tags.items()
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished trial, `mine`."""
    folder = tmp_path_factory.mktemp("rerun")
    done = run(folder, *SMALL, "name=mine")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_same_numbers_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = single(folder)
    foreign = folder / "mlruns" / "checkpoints" / f"{old.tags['mcalc.trajectory']}.pth"
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(b"of another run")
    try:
        printed = again(folder, old.run_id[:8])
        assert foreign.read_bytes() == b"of another run"
    finally:
        foreign.unlink()
    assert not list(foreign.parent.iterdir()), "its own is gone"
    assert "all numbers are equal, to the last bit" in printed
    assert "DIFFERS" not in printed
    assert "is not used" not in printed, "no checkpoint was looked at"
    (new,) = reruns(folder)
    assert (new.name, new.key, new.state) == (old.name, old.key, "finished")
    assert new.tags["mcalc.from_run"] == old.run_id
    assert new.tags["mcalc.same_as_from_run"] == "true"
    assert "mlflow.parentRunId" not in new.tags
    assert single(folder).run_id == old.run_id, "the report shows the old one, once"
    assert f"finished already (run {old.run_id})" in run(folder, *SMALL, "name=mine").stdout
    config = yaml.safe_load(artifact(folder, new, "config.yaml").read_text())
    assert config["from_run"] == old.run_id
    assert "all numbers are equal" in again(folder, new.run_id), "a re-run is a run too"


def test_a_probability_that_was_changed_is_found(folder: Path) -> None:
    old = single(folder)
    file = artifact(folder, old, "predictions.csv")
    header, first, *rest = file.read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    lesion = row["lesion"]
    row["probability"] = repr(float(row["probability"]) + 0.25)
    with tampered(folder, {file: "\n".join([header, ",".join(row.values()), *rest])}):
        printed = again(folder, "mine", status=1)
    assert f"probabilities: 1 of 10, at most by 0.25 ({lesion}: " in printed
    flat = " ".join(printed.replace("│", " ").split())
    assert "probabilities 10 lesions DIFFERS" in flat
    assert re.search(r"metrics \d+ values equal", flat)
    assert "NOT the same numbers" in printed
    new = reruns(folder)[0]
    assert new.tags["mcalc.same_as_from_run"] == "false"
    assert single(folder).run_id == old.run_id


def test_metrics_curve_and_end_that_were_changed_are_found_and_what_else_was_otherwise(
    folder: Path,
) -> None:
    old = single(folder)
    file = artifact(folder, old, "curve.csv")
    header, first, *rest = file.read_text().splitlines()
    values = first.split(",")
    values[header.split(",").index("val_loss")] = "0.5"
    versions = json.dumps({**json.loads(old.tags["mcalc.versions"]), "torch": "1.0"})
    with tampered(
        folder,
        {file: "\n".join([header, ",".join(values), *rest])},
        f"UPDATE latest_metrics SET value = 0.123 WHERE run_uuid = '{old.run_id}' AND "
        "key = 'result/accuracy'",
        *set_tag(old.run_id, stop_reason="patience", versions=versions, cpu="Z80"),
    ):
        printed = again(folder, "mine", status=1)
    assert "accuracy: 0.123 then" in printed
    assert "val_loss at iteration 1: 0.5 then" in printed
    assert "end: iteration 6 (patience), network of iteration 6 then, iteration 6 (max_" in printed
    assert "probabilities: " not in printed
    assert "not as it was then, which may be why:" in printed
    assert "torch was 1.0, now" in printed
    assert "processor was Z80, now" in printed


def test_its_settings_are_printed_and_nothing_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(reruns(folder))
    monkeypatch.chdir(folder)
    capsys.readouterr()
    assert main(["from_run=mine", "data.cache=elsewhere", "--cfg", "job"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["backbone"]["name"] == "small"
    assert printed["data"]["phantom"]["lesions"] == 32
    assert printed["trainer"]["max_iterations"] == 6
    assert printed["data"]["cache"] == "elsewhere"
    assert printed["from_run"] == single(folder).run_id
    assert len(reruns(folder)) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["from_run=mine", "head.weight_lr=5", "seed=1"],
         ["head.weight_lr=5, seed=1", "omit them"]),
        (["from_run=mine", "backbone=alexnet"], ["backbone=alexnet", "omit it"]),
        (["from_run=mine", "trainer=demo_alexnet"], ["trainer=demo_alexnet"]),
        (["from_run=mine", "data=cbis_ddsm"], ["data=cbis_ddsm", "data.root"]),
        (["from_run=mine", "data.phantom.seed=1"], ["data.phantom.seed=1"]),
        (["from_run=mine", "trainer.threads=2"], ["trainer.threads=2"]),
        (["from_run=mine", "name=other"], ["name=other"]),
        (["from_run=mine", "backbone.weights=w.pth"], ["backbone.weights='none'", "omit it"]),
        (["from_run=mine", "sweep=alexnet"], ["sweep=alexnet"]),
        (["from_run=mine", "dry_run=true"], ["--cfg job"]),
        (["from_run=mine", "hydra/launcher=joblib"], ["add -m"]),
        (["-m", "from_run=mine"], ["omit -m"]),
        (["-m", "from_run=mine", "head.weight_lr=1,2"], ["omit -m"]),
        (["-m", "from_run=mine,other"], ["omit -m"]),
        (["from_run="], ["from_run= has no value"]),
        (["from_run=mime"], ["did you mean 'mine'?"]),
        (["from_run=mine", "tracking.dir=nowhere"], ["nothing is recorded in nowhere"]),
    ],
)  # fmt: skip
def test_what_cannot_stand_beside_it(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: list[str],
) -> None:
    message = refused(folder, monkeypatch, capsys, *arguments)
    for part in said:
        assert part in message


def test_a_sweep_file_cannot_set_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sweeps").mkdir(exist_ok=True)
    (folder / "sweeps" / "odd.yaml").write_text("rows:\n  A: {from_run: mine}\n  B: {seed: 1}\n")
    monkeypatch.setattr("sys.argv", ["mcalc.train"])
    message = refused(folder, monkeypatch, capsys, "-m", "sweep=odd", *SMALL)
    assert "odd sets from_run" in message


def test_an_edited_config_is_refused_with_the_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = single(folder)
    file = artifact(folder, old, "config.yaml")
    edited = file.read_text().replace("weight_lr: 10.0", "weight_lr: 11.0")
    with tampered(folder, {file: edited}):
        message = refused(folder, monkeypatch, capsys, "from_run=mine")
    assert "head.weight_lr is 11.0 in the file and 10.0 in MLflow" in message
    # a setting at its default is no parameter in MLflow, but stands in a tag
    statement = (
        'UPDATE tags SET value = replace(value, \'"head.weight_lr":"10.0"\', '
        f"'\"head.weight_lr\":\"11.0\"') WHERE run_uuid = '{old.run_id}' "
        "AND key = 'mcalc.settings'"
    )
    with tampered(folder, {file: edited}, statement):
        message = refused(folder, monkeypatch, capsys, "from_run=mine")
    assert f"do not give its key {old.key}" in message
    with tampered(folder, {file: "just text"}):
        assert "expected a mapping" in refused(folder, monkeypatch, capsys, "from_run=mine")


def test_all_that_is_not_as_it_was_is_named_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = single(folder)
    before = len(reruns(folder))
    settings = numeric_settings(compose_config(SMALL)) | {"plugins": {"mypackage": "1.2"}}
    earlier = NUMERICS_VERSION - 1
    parts = {"numerics": earlier, "files": {}, "plugins": {"mypackage": "1.2"}}
    tags = {
        "key": keys_of(settings, "0123456789abcdef", earlier)[0],
        "fingerprint": "0123456789abcdef",
        "identity": json.dumps(parts),
        "device": "NVIDIA H100 80GB HBM3",
        "precision": "bf16",
        "threads": "7",
        "memory_format": "channels_last",
    }
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with tampered(folder, {}, *set_tag(old.run_id, **tags)):
        message = refused(folder, monkeypatch, capsys, "from_run=mine")
    for part in (
        f"numerics version was {earlier}, here it is {NUMERICS_VERSION}",
        "plug-in package mypackage was 1.2, here it is not installed",
        "device was NVIDIA H100 80GB HBM3, here it is CPU",
        "precision was bf16, here it is fp32",
        "threads were 7, here they are 1",
        "memory format was channels_last, here it is contiguous",
        f"data fingerprint was 0123456789abcdef, here it is {old.tags['mcalc.fingerprint']}",
    ):
        assert part in message
    assert "do not give its key" not in message
    assert len(reruns(folder)) == before, "nothing was written"


def test_a_record_without_its_parts_of_the_identity(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As mcalc wrote them before `from_run`: the numerics version is found from the key."""
    old = single(folder)
    earlier = NUMERICS_VERSION - 1
    key = keys_of(numeric_settings(compose_config(SMALL)), old.tags["mcalc.fingerprint"], earlier)[
        0
    ]
    gone = f"DELETE FROM tags WHERE run_uuid = '{old.run_id}' AND key = 'mcalc.identity'"
    with tampered(folder, {}, gone, *set_tag(old.run_id, key=key)):
        message = refused(folder, monkeypatch, capsys, "from_run=mine")
    assert message.endswith(f"numerics version was {earlier}, here it is {NUMERICS_VERSION}")


def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.mark.whole
def test_threads_are_those_recorded_whatever_the_process_has(tmp_path: Path) -> None:
    arguments = [each for each in SMALL if not each.startswith("trainer.threads")]
    begin_with_tables(tmp_path / "mlruns")
    first = [*arguments, "name=mine"]
    done = processes.run("mcalc.train", *first, folder=tmp_path, before=two_threads)
    assert done.returncode == 0, done.stderr
    assert single(tmp_path).tags["mcalc.threads"] == "2"
    printed = again(tmp_path, "mine", status=2, OMP_THREAD_LIMIT="1")
    assert "threads were 2, here they are 1 at most" in printed
    assert "all numbers are equal" in again(tmp_path, "mine")
    (new,) = reruns(tmp_path)
    assert new.tags["mcalc.threads"] == "2"
    assert new.params["trainer.threads"] == "None"


@pytest.mark.whole
def test_data_and_weights_that_lie_elsewhere_now(tmp_path: Path) -> None:
    root = write_phantom(tmp_path / "data", PhantomConfig(lesions=32))
    weights = tmp_path / "w.pth"
    arguments = [each for each in SMALL if not each.startswith(("data.", "backbone.weights"))]
    torch.save(SMALL_BACKBONE.build().state_dict(), weights)
    given = ["data=cbis_ddsm", f"data.root={root}", f"backbone.weights={weights}", "name=mine"]
    done = run(tmp_path, *arguments, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    moved, file = root.rename(tmp_path / "moved"), weights.rename(tmp_path / "v.pth")
    printed = again(tmp_path, "mine", status=2)
    assert "here the data cannot be read" in printed
    assert "give backbone.weights=PATH" in printed
    places = [f"data.root={moved}", f"backbone.weights={file}"]
    assert "all numbers are equal" in again(tmp_path, "mine", *places)
    file.write_bytes(file.read_bytes() + b" ")
    assert "content of backbone.weights was sha256:" in again(tmp_path, "mine", *places, status=2)


@pytest.mark.whole
def test_a_rerun_that_was_stopped_continues_as_the_same_run(tmp_path: Path) -> None:
    long = [*SQUEEZENET, "trainer.max_iterations=40", "name=mine"]
    assert run(tmp_path, *long).returncode == 0
    arguments = ["from_run=mine", WITHOUT_NETWORK, "tracking.checkpoint_minutes=0.001"]
    started = processes.start("mcalc.train", *arguments, folder=tmp_path)
    checkpoints = tmp_path / "mlruns" / "checkpoints"
    processes.wait_for(lambda: list(checkpoints.glob("*-from-*.pth")), started)
    busy = again(tmp_path, "mine", status=2)
    assert "another process runs" in busy
    started.send_signal(signal.SIGINT)
    assert started.wait() == 130
    printed = again(tmp_path, "mine")
    assert "resumes from iteration" in printed
    assert "all numbers are equal" in printed
    (new,) = reruns(tmp_path)
    assert new.state == "finished"
    assert not list(checkpoints.iterdir())


@pytest.mark.whole
def test_trials_of_sweeps_and_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, "-m", *SMALL, "stopping.patience=1,2", "name=two")
    assert done.returncode == 0, done.stdout + done.stderr
    searched = ["head.weight_lr=interval(1,30)", "budget.trials=1", "name=hunt"]
    done = run(tmp_path, "-m", *SMALL, *searched)
    assert done.returncode == 0, done.stdout + done.stderr
    tracking = TrackingConfig(dir=str(tmp_path / "mlruns"))
    before = {name: read_trials(tracking, name) for name in ("two", "hunt")}
    for trials in before.values():
        trial = trials[-1]
        assert "all numbers are equal" in again(tmp_path, trial.run_id)
        assert reruns(tmp_path)[0].tags["mcalc.from_run"] == trial.run_id
    for name, trials in before.items():
        after = read_trials(tracking, name)
        assert [trial.run_id for trial in after] == [trial.run_id for trial in trials]
        assert look(["check", name, f"tracking.dir={tmp_path / 'mlruns'}"]) == 0
    assert read_trials(tracking) == [], "a re-run is no single trial"
    parent = before["two"][0].tags["mlflow.parentRunId"]
    message = refused(tmp_path, monkeypatch, capsys, f"from_run={parent}")
    assert "is the sweep two" in message
