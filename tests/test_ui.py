"""`make ui`: MLflow serves what was recorded, on this machine alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import processes
import psutil
import pytest
from matplotlib.figure import Figure
from servers import served

from mcalc.results import Predictions
from mcalc.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[1]


def fetch(url: str, body: object | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.parametrize(
    ("module", "variable"),
    [("mcalc.tracking.page", "PORT"), ("mcalc.sweep.dashboard", "DASHBOARD_PORT")],
)
def test_a_port_that_is_taken_or_none_is_a_sentence(
    module: str, variable: str, tmp_path: Path
) -> None:
    tracker = Tracker(tmp_path / "record", "mcalc")
    tracker.open_trial("AL3", "key", {"head.weight_lr": 15.0}, {}, None)
    store = tmp_path / "record" / ("mlflow.db" if variable == "DASHBOARD_PORT" else "")
    where = f"sqlite:///{store}" if variable == "DASHBOARD_PORT" else str(store)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for port, said in (
            (taken, f"error: port {taken} of 127.0.0.1 is taken"),
            ("abc", f"error: {variable}='abc' is no port"),
            ("0", f"error: {variable}='0' is no port"),
            ("65536", f"error: {variable}='65536' is no port"),
            ("0005000000", f"error: {variable}='0005000000' is no port"),
        ):
            done = processes.run(module, where, port, folder=tmp_path)
            assert done.returncode == 2
            assert done.stdout == ""
            (line,) = done.stderr.splitlines()
            assert line.startswith(said)
            assert f"{variable}=" in line


@pytest.mark.whole
def test_make_ui_shows_runs_and_their_pictures(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "before", "mcalc")
    trial = tracker.open_trial("AL3", "key", {"head.weight_lr": 15.0}, {}, None)
    trial.table(Predictions(("lesion",), np.array([1]), np.array([0.75])))
    trial.figure(Figure(), "curve.png")
    trial.finish({"accuracy": 1.0}, {})
    # a record that was moved
    now = tmp_path / "with space" / "now"
    now.parent.mkdir()
    shutil.move(tmp_path / "before", now)
    ui = ["make", "ui", f"RUNS={now}"]
    with served(lambda port: [*ui, f"PORT={port}"], ROOT) as (base, _):
        assert b"MLflow" in fetch(base)
        found = json.loads(
            fetch(
                f"{base}/ajax-api/2.0/mlflow/runs/search",
                {"experiment_ids": [tracker.experiment_id]},
            )
        )
        (run,) = found["runs"]
        assert run["info"]["run_name"] == "AL3"
        picture = fetch(f"{base}/get-artifact?path=curve.png&run_id={trial.run_id}")
        assert picture.startswith(b"\x89PNG")
        port = base.rsplit(":", 1)[1]
        servers = [each for each in psutil.process_iter() if words(each)[-4:-2] == ["--port", port]]
        assert servers
        started = [child for each in servers for child in each.children(recursive=True)]
        assert not [each for each in started if "mlflow.server.jobs" in " ".join(words(each))]


def words(process: psutil.Process) -> list[str]:
    """A process's command; nothing of one that ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize("target", ["tables", "tables-matlab", "audit"])
def test_make_says_once_that_the_data_are_not_there(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        # what is installed is no matter here
        ["make", "-o", ".venv/.installed", target, f"DATA={tmp_path / 'none'}", f"RUNS={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    first, *others = done.stderr.splitlines()
    assert first == f"error: DATA={tmp_path}/none is no folder: name that of a CBIS-DDSM download"
    assert not [line for line in others if not line.startswith("make")]


@pytest.mark.parametrize("target", ["tables", "tables-matlab"])
def test_make_says_a_mistake_once(target: str, tmp_path: Path) -> None:
    # each of three commands said it, the last that nothing is recorded: run `make tables`
    done = subprocess.run(
        ["make", "-o", ".venv/.installed", target, "ARGS=seeds=1", f"RUNS={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    first, *others = done.stderr.splitlines()
    assert first.startswith("error: unknown key 'seeds'; did you mean 'seed'?")
    assert not [line for line in others if not line.startswith("make")]
