"""Records of earlier versions still open, and their sweeps resume."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import tarfile
from pathlib import Path

import processes
import psutil
import pytest

from mcalc.config import NUMERICS_VERSION

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = sorted(Path(__file__).parent.glob("*.tar.xz"))
COMMON = (
    "backbone.weights=none",
    "data.phantom.lesions=16",
    "trainer.batch_size=4",
    "trainer.val_every=2",
    "trainer.threads=1",
    "tracking.keep_models=none",
    "tracking.checkpoint_minutes=0",
)
OLD = ("trainer.precision=fp32", "trainer.channels_last=false")
"""What was the default, and is `auto` now."""
SINGLE = (*COMMON, "backbone=squeezenet", "trainer.max_iterations=6", "trainer.lr=0.001")
SWEEP = ("-m", "sweep=alexnet", *COMMON, "trainer.max_iterations=6", "trainer.lr=0.001")
SEARCH = ("-m", "name=hunt", *COMMON, "backbone=squeezenet", "trainer.max_iterations=4")


def unpack(archive: Path, folder: Path) -> None:
    """The record as it lay on the machine that wrote it, which is this one, its workers dead."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    for name in ("mlflow", "optuna"):
        script = folder / "mlruns" / f"{name}.sql"
        with sqlite3.connect(folder / "mlruns" / f"{name}.db") as database:
            database.executescript(script.read_text().replace("@FOLDER@", str(folder)))
            if name == "optuna":
                database.execute(
                    "UPDATE mcalc_claims SET host = ?, boot = ?, room = ?, process = ?",
                    (
                        socket.gethostname(),
                        Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                        str(Path("/proc/self/ns/pid").readlink()),
                        next(n for n in range(99_999, 1, -1) if not psutil.pid_exists(n)),
                    ),
                )
        database.close()
        script.unlink()


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    unpack(request.param, tmp_path)
    return tmp_path


def run(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    return processes.run(f"mcalc.{module}", *arguments, folder=folder, environment=environment)


def command(folder: Path, module: str, *arguments: str) -> str:
    """What a command prints that ends well."""
    done = run(folder, module, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.whole
def test_the_report_reads_it(record: Path) -> None:
    printed = command(record, "report")
    first, _ = printed.split("Table 2.")
    table = {line.split()[0]: line.split() for line in first.splitlines() if line[:2] == "AL"}
    assert table["AL1"][:6] == ["AL1", "15", "1", "2", "1", "0.6667"]
    assert table["AL8"][5] == "—", "it was cut off"
    assert "Weights: random (Glorot)." in " ".join(printed.split())
    assert "Format of the record: not recorded" in " ".join(printed.split())
    assert (record / "report" / "index.html").stat().st_size > 10_000


def test_list_and_check_read_it(record: Path) -> None:
    listed = command(record, "sweep", "list")
    (line,) = [line for line in listed.splitlines() if "alexnet-650338fe" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")][1:] == ["3", "0", "0", "1"]
    checked = command(record, "sweep", "check")
    assert "AL8 was cut off" in checked
    assert checked.count("Optuna and MLflow agree") == 2


def test_its_trial_cannot_come_out_the_same_which_is_said(record: Path) -> None:
    done = run(record, "train", "from_run=single")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"numerics version was 2, here it is {NUMERICS_VERSION}" in done.stderr


@pytest.mark.whole
def test_its_sweep_goes_on_under_todays_numerics_and_what_is_recorded_stays(record: Path) -> None:
    named = (*SWEEP, "name=alexnet-650338fe", *OLD)
    copy = record / "copy"
    shutil.copytree(record / "mlruns", copy)
    before = command(record, "train", *named, "dry_run=true")
    assert "0 finished, 4 to run" in before
    assert before.count(f"the code's numerics changed (2 to {NUMERICS_VERSION})") == 4
    printed = command(record, "train", *named)
    assert all(f"{name}: accuracy" in printed for name in ("AL1", "AL5", "AL6", "AL8"))
    assert "0 to run" in command(record, "train", *named, "dry_run=true")
    with sqlite3.connect(record / "mlruns" / "mlflow.db") as database:
        runs = database.execute("SELECT status FROM runs WHERE name GLOB 'AL*'").fetchall()
    database.close()
    assert runs.count(("FINISHED",)) == 3 + 4
    assert runs.count(("RUNNING",)) == 0, "what was cut off then is never resumed"
    checked = command(record, "sweep", "check", "alexnet-650338fe")
    assert "alexnet-650338fe: 4 complete\n" in checked
    assert "cut off" not in checked
    assert "Optuna and MLflow agree" in checked
    # the sweep's own run has got its first file since then
    checked = command(record, "sweep", "check", f"tracking.dir={copy}")
    assert "AL8 was cut off" in checked
    assert checked.count("Optuna and MLflow agree") == 2


@pytest.mark.whole
def test_by_default_another_sweep_begins_which_says_why_and_how_the_old_one_goes_on(
    record: Path,
) -> None:
    done = run(record, "train", *SWEEP, "dry_run=true")
    assert done.returncode == 0, done.stdout + done.stderr
    (said,) = [line for line in (done.stdout + done.stderr).splitlines() if "another sweep" in line]
    assert "alexnet-650338fe was recorded when trainer.precision=fp32" in said
    _, advice = said.split("To go on with the recorded one, add name=alexnet-650338fe ")
    settings, changed = advice.split("; ")
    # a processor that does not compute in bf16 takes fp32 by itself
    assert settings in (" ".join(OLD), OLD[1])
    assert changed.startswith("its trials run anew there as well")
    assert changed.endswith(f"as the code's numerics changed (2 to {NUMERICS_VERSION})")
    named = (*SWEEP, "name=alexnet-650338fe", "dry_run=true")
    followed = command(record, "train", *named, *settings.split())
    assert "alexnet-650338fe: 4 trials" in followed
    done = run(record, "train", *named)
    assert done.returncode == 0
    assert f"alexnet-650338fe was recorded with {settings.split()[0]}" in done.stdout + done.stderr


@pytest.mark.whole
def test_its_search_resumes(record: Path) -> None:
    interval = "head.weight_lr=interval(1,20)"
    printed = command(record, "train", *SEARCH, *OLD, interval, "budget.trials=3")
    assert "2 tried" in printed
    assert "#2: accuracy" in printed
    assert "#1: accuracy" not in printed


@pytest.mark.whole
def test_a_record_of_a_later_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    small = (*SINGLE[:-1], "trainer.max_iterations=2", "data.phantom.lesions=16")
    command(tmp_path, "train", "-m", *small, "name=alexnet", "head.weight_lr=1,10")
    assert "Format of the record: 1;" in " ".join(command(tmp_path, "report").split())
    for name, statement in (
        ("mlflow", "UPDATE tags SET value = '99' WHERE key = 'mcalc.format'"),
        ("optuna", "UPDATE study_user_attributes SET value_json = '99' WHERE key = 'mcalc:format'"),
    ):
        with sqlite3.connect(tmp_path / "mlruns" / f"{name}.db") as database:
            assert database.execute(statement).rowcount > 0
        database.close()
    for arguments in (("report",), ("sweep", "list"), ("sweep", "check")):
        done = run(tmp_path, *arguments)
        assert done.returncode == 2, arguments
        assert "recorded in format 99, but this mcalc reads formats up to 1" in done.stderr
        assert "Traceback" not in done.stderr
