"""Hydra's launchers run the same sweep to the same numbers, each in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from socket import gethostname, socket

import psutil
import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState
from sweep_processes import (
    ROOT,
    SMALL,
    Worker,
    at_work,
    attempts,
    predictions,
    recorded,
    start,
    wait_for,
)

from mcalc.config.compose import compose_config, register_schema
from mcalc.config.identity import NUMERICS_VERSION
from mcalc.sweep.__main__ import main
from mcalc.sweep.start import run_sweep
from mcalc.sweep.worker.remote import Task

pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.xdist_group("launchers")]

SWEEP = ("head.weight_lr=1,5,10,20",)
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"data.cache={tmp_path_factory.mktemp('cache')}"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, cache: str) -> dict[str, dict[str, str]]:
    """Predictions of the sweep's four trials, run one after another in this process."""
    runs = tmp_path_factory.mktemp("alone")
    run_sweep([*SMALL, *SWEEP, cache, f"tracking.dir={runs}"], compose_config)
    found = predictions(runs)
    assert len(found) == 4
    assert len({tuple(each.values()) for each in found.values()}) == 4
    return found


def store(runs: Path) -> str:
    return f"sqlite:///{runs / 'optuna.db'}"


def all_done_once(runs: Path, trials: int) -> None:
    assert [a.state for a in attempts(store(runs))] == [TrialState.COMPLETE] * trials
    assert [run.state for run in recorded(runs)] == ["finished"] * trials
    assert main(["check", f"tracking.dir={runs}"]) == 0


def test_joblib_gives_the_numbers_of_a_sweep_alone_though_workers_are_killed(
    tmp_path: Path, cache: str, alone: dict[str, dict[str, str]]
) -> None:
    runs = tmp_path / "runs"
    arguments = (*SWEEP, *JOBLIB, "retries=1", cache, f"tracking.dir={runs}")
    first = start(*arguments, log=tmp_path / "first.log")
    kill_one_at_work(first, store(runs))
    wait_for(lambda: "giving what is left to new ones (1 of 1)" in first.printed(), first)
    kill_one_at_work(first, store(runs))
    assert first.ended() == 2, first.printed()
    assert first.printed().count("error: ") == 1
    assert "give the same command again" in first.printed()
    assert "Traceback" not in first.printed()

    second = start(*arguments, log=tmp_path / "second.log")
    assert second.ended() == 0, second.printed()
    assert "4 of 4 done" in second.printed()
    all_done_once(runs, 4)
    assert predictions(runs) == alone
    text = "".join(log.read_text() for log in (runs / "logs").glob("*.log"))
    for name in alone:
        assert f"  {name}: accuracy" in text
        assert f"  {name}: accuracy" not in first.printed() + second.printed()


def kill_one_at_work(sweep: Worker, storage: str) -> None:
    """Kill a process of a launcher in the middle of training, not the sweep's own."""

    def workers() -> set[int]:
        children = {child.pid for child in psutil.Process(sweep.process.pid).children(True)}
        begun = {
            attempt.user_attrs["identity"]["trajectory"]
            for attempt in attempts(storage)
            if attempt.state is TrialState.RUNNING and "mlflow_run" in attempt.user_attrs
        }
        return {pid for run, pid in at_work(storage).items() if run in begun} & children

    found: set[int] = set()
    wait_for(lambda: (at_work(storage) and found.update(workers())) or found, sweep)
    os.kill(found.pop(), signal.SIGKILL)


def test_submitit_gives_the_numbers_of_a_sweep_alone(
    tmp_path: Path, cache: str, alone: dict[str, dict[str, str]]
) -> None:
    runs = tmp_path / "runs"
    worker = start(
        "head.weight_lr=1,10",
        "hydra/launcher=submitit_local",
        "hydra.launcher.timeout_min=10",
        cache,
        f"tracking.dir={runs}",
        log=tmp_path / "log",
    )
    assert worker.ended() == 0, worker.printed()
    all_done_once(runs, 2)
    found = predictions(runs)
    assert found == {name: alone[name] for name in found}
    assert len(list((runs / "logs").glob("*.log"))) == 2


def test_a_search_by_several_workers_keeps_to_its_budget(tmp_path: Path, cache: str) -> None:
    runs = tmp_path / "runs"
    arguments = ("head.weight_lr=interval(1,30)", "budget.trials=4", cache, f"tracking.dir={runs}")
    worker = start(*arguments, *JOBLIB, log=tmp_path / "log")
    assert worker.ended() == 0, worker.printed()
    all_done_once(runs, 4)
    drawn = [attempt.params["head.weight_lr"] for attempt in attempts(store(runs))]
    assert len(set(drawn)) == 4
    assert all(1 <= value <= 30 for value in drawn)


def composed(*overrides: str) -> object:
    """What a launcher hands to a job."""
    register_schema()
    plain = compose_config([*SMALL, *overrides])
    return OmegaConf.structured(plain)


def test_a_job_on_another_machine_refuses_the_sqlite_file(tmp_path: Path) -> None:
    ended = Task("elsewhere", NUMERICS_VERSION)(composed(f"tracking.dir={tmp_path}"))  # type: ignore[arg-type]
    assert ended.outcomes == []
    assert "storage=postgresql" in ended.error
    assert list(tmp_path.iterdir()) == []


def test_a_job_of_another_version_refuses(tmp_path: Path) -> None:
    ended = Task(gethostname(), NUMERICS_VERSION + 1)(composed(f"tracking.dir={tmp_path}"))  # type: ignore[arg-type]
    assert "another version of mcalc" in ended.error


def test_make_dashboard_serves_the_store(tmp_path: Path) -> None:
    import optuna

    storage = store(tmp_path)
    study = optuna.create_study(storage=storage, study_name="alexnet")
    study.optimize(lambda trial: trial.suggest_float("head.weight_lr", 1, 30), n_trials=1)
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            content: bytes = answer.read()
        return content

    with subprocess.Popen(
        ["make", "dashboard", f"RUNS={tmp_path}", f"DASHBOARD_PORT={port}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            wait_until_served(server, lambda: fetch("/dashboard/"))
            assert b"alexnet" in fetch("/api/studies")
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def wait_until_served(server: subprocess.Popen[bytes], fetch: Callable[[], bytes]) -> None:
    for _ in range(120):
        try:
            fetch()
            return
        except OSError:
            assert server.poll() is None
            time.sleep(0.5)
    pytest.fail("nothing was served within a minute")
