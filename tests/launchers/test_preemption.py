"""A scheduler that wants its machine back: jobs stop on a checkpoint, and others finish them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState
from sweep_processes import (
    SQUEEZENET,
    Worker,
    at_work,
    attempts,
    predictions,
    recorded,
    running,
    start,
    wait_for,
)

from mcalc.config.compose import compose_config
from mcalc.errors import PREEMPTED
from mcalc.sqlite_file import url_of
from mcalc.sweep.__main__ import main
from mcalc.sweep.start import run_sweep
from mcalc.tracking.tracker import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.xdist_group("preemption")]

TWO_JOBS, ONE_JOB = "head.weight_lr=1,10", "stopping.patience=null,30"
"""Two trials each: of two training runs, and of one that they share."""
SETTINGS = (
    "trainer.max_iterations=60",
    "trainer.max_epochs=1000",
    "tracking.checkpoint_minutes=0",
    # any death of a worker that counts ends the sweep
    "retries=0",
)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, cache: str
) -> dict[str, dict[str, dict[str, str]]]:
    """Predictions of the trials of both sweeps, run in this process."""
    found = {}
    for varied in (TWO_JOBS, ONE_JOB):
        runs = tmp_path_factory.mktemp("undisturbed")
        run_sweep([*SQUEEZENET, *SETTINGS, varied, cache, f"tracking.dir={runs}"], compose_config)
        found[varied] = predictions(runs)
        assert len(found[varied]) == 2
    return found


def training(runs: Path) -> set[int]:
    """Processes that hold a lease on a training run with an evaluation in MLflow."""
    storage = url_of(runs / "optuna.db")
    begun, holders = running(storage), at_work(storage)
    if not begun:
        return set()
    client = Tracker(runs, "mcalc").client
    return {
        holders[work]
        for work, run in begun.items()
        if work in holders and client.get_metric_history(run, "training/val_loss")
    }


def one_in_training(runs: Path, command: Worker) -> int:
    found: set[int] = set()
    wait_for(lambda: found.update(training(runs)) or found, command)
    return found.pop()


def complete_as_undisturbed(runs: Path, undisturbed: dict[str, dict[str, str]]) -> None:
    made = attempts(url_of(runs / "optuna.db"))
    assert [attempt.state for attempt in made] == [TrialState.COMPLETE] * 2
    assert [run.state for run in recorded(runs)] == ["finished"] * 2
    assert main(["check", f"tracking.dir={runs}"]) == 0
    assert predictions(runs) == undisturbed


def finished_as_undisturbed(runs: Path, undisturbed: dict[str, dict[str, str]]) -> None:
    complete_as_undisturbed(runs, undisturbed)
    made = attempts(url_of(runs / "optuna.db"))
    assert sum("resumed" in attempt.user_attrs for attempt in made) >= 1
    logs = "".join(log.read_text() for log in (runs / "logs").glob("*.log"))
    assert "resumes from iteration" in logs
    assert list((runs / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_job_of_submitit_that_gets_a_signal_is_finished_by_another(
    tmp_path: Path,
    cache: str,
    undisturbed: dict[str, dict[str, dict[str, str]]],
    number: int,
) -> None:
    runs = tmp_path / "runs"
    command = start(
        *SETTINGS, ONE_JOB, cache, f"tracking.dir={runs}", "hydra/launcher=submitit_local",
        log=tmp_path / "log",
    )  # fmt: skip
    job = one_in_training(runs, command)
    os.kill(job, number)
    assert command.ended() == 0, command.printed()
    assert "giving what is left to new ones" not in command.printed()
    # Submitit puts the job back by itself, except after SIGTERM
    assert ("stopped by a signal" in command.printed()) == (number == signal.SIGTERM)
    finished_as_undisturbed(runs, undisturbed[ONE_JOB])


def test_a_job_of_submitit_that_is_killed_is_given_out_again(
    tmp_path: Path, cache: str, undisturbed: dict[str, dict[str, dict[str, str]]]
) -> None:
    runs = tmp_path / "runs"
    command = start(
        *SETTINGS, "retries=1", ONE_JOB, cache, f"tracking.dir={runs}",
        "hydra/launcher=submitit_local", log=tmp_path / "log",
    )  # fmt: skip
    os.kill(one_in_training(runs, command), signal.SIGKILL)
    assert command.ended() == 0, command.printed()
    assert "giving what is left to new ones (1 of 1)" in command.printed()
    complete_as_undisturbed(runs, undisturbed[ONE_JOB])


@pytest.mark.parametrize(
    ("varied", "launcher"), [(TWO_JOBS, "joblib"), (ONE_JOB, "submitit_local")]
)
def test_a_signal_to_the_command_stops_its_jobs_on_checkpoints(
    tmp_path: Path,
    cache: str,
    undisturbed: dict[str, dict[str, dict[str, str]]],
    varied: str,
    launcher: str,
) -> None:
    runs = tmp_path / "runs"
    arguments = (*SETTINGS, varied, cache, f"tracking.dir={runs}", f"hydra/launcher={launcher}")
    first = start(*arguments, log=tmp_path / "first.log")
    job = one_in_training(runs, first)
    first.process.send_signal(signal.SIGUSR1)
    assert first.ended() == PREEMPTED, first.printed()
    assert "the same command resumes" in first.printed()
    assert "error:" not in first.printed()
    assert not psutil.pid_exists(job) or launcher == "joblib"
    assert list((runs / "checkpoints").iterdir())
    states = {attempt.state for attempt in attempts(url_of(runs / "optuna.db"))}
    assert TrialState.RUNNING in states
    assert TrialState.FAIL not in states
    second = start(*arguments, log=tmp_path / "second.log")
    assert second.ended() == 0, second.printed()
    finished_as_undisturbed(runs, undisturbed[varied])
