"""Sweeps that are paused, cancelled and resumed while workers of any kind run them."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import Instant, start, sweep
from processes import wait_for
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sweep_processes import at_work, attempts, predictions, recorded
from sweep_processes import start as start_training
from sweep_processes import wait_for as wait_for_training

from mcalc.errors import CancelledError, StoppedError
from mcalc.sqlite_file import url_of
from mcalc.sweep.__main__ import main
from mcalc.sweep.store.jobs import Job, Jobs
from mcalc.sweep.store.storage import Storage

RATES = "head.weight_lr=1,2,3,4"


def begun(folder: Path) -> list[str]:
    """Names of the trials that were begun, in that order."""
    return (folder / "log").read_text().splitlines()


def told(folder: Path, *words: str) -> int:
    """The exit status of `python -m mcalc.sweep ...` over the record of a folder."""
    return main([*words, f"tracking.dir={folder / 'mlruns'}"])


def states_in_mlflow(folder: Path) -> list[str]:
    return sorted(run.state for run in recorded(folder / "mlruns"))


def states_in_optuna(folder: Path) -> list[str]:
    return sorted(a.state.name for a in attempts(url_of(folder / "mlruns" / "optuna.db")))


@pytest.mark.whole
def test_a_paused_sweep_stops_between_trials_and_goes_on_after_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Instant(tmp_path / "log", gate=tmp_path / "gate")
    workers = [start(tmp_path, RATES, "name=mine", instant=held) for _ in range(2)]
    wait_for((tmp_path / "log").exists, *workers)
    assert told(tmp_path, "pause", "mine") == 0
    assert "mine is paused" in capsys.readouterr().out
    (tmp_path / "gate").touch()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 1  # the test's process prints the error as Python does
    done = begun(tmp_path)
    assert 1 <= len(done) <= 2  # what each was at
    assert told(tmp_path, "check") == 0
    assert told(tmp_path, "list") == 0
    assert "mine is paused (on " in capsys.readouterr().out

    with pytest.raises(StoppedError, match=r"paused .*`python -m mcalc.sweep resume mine`"):
        sweep(tmp_path, RATES, "name=mine")
    sweep(tmp_path, RATES, "name=mine", "dry_run=true")
    assert begun(tmp_path) == done
    assert told(tmp_path, "resume", "mine") == 0
    sweep(tmp_path, RATES, "name=mine")
    assert sorted(begun(tmp_path)) == [f"head.weight_lr={rate}" for rate in (1, 2, 3, 4)]
    assert told(tmp_path, "check") == 0
    assert told(tmp_path, "resume", "mine") == 0
    assert "is not paused" in capsys.readouterr().out


def test_a_search_that_is_paused_keeps_to_its_budget(tmp_path: Path) -> None:
    search = ("head.weight_lr=interval(1,30)", "budget.trials=4", "name=mine")
    worker = start(tmp_path, *search, instant=Instant(tmp_path / "log", gate=tmp_path / "gate"))
    wait_for((tmp_path / "log").exists, worker)
    assert told(tmp_path, "pause", "mine") == 0
    (tmp_path / "gate").touch()
    worker.join(120)
    assert len(begun(tmp_path)) == 1
    assert told(tmp_path, "resume", "mine") == 0
    sweep(tmp_path, *search)
    assert states_in_optuna(tmp_path) == ["COMPLETE"] * 4
    assert len(begun(tmp_path)) == 4
    assert told(tmp_path, "check") == 0


@pytest.mark.whole
@pytest.mark.parametrize(
    "arguments",
    [[RATES], ["head.weight_lr=interval(1,30)", "budget.trials=4"]],
    ids=["rows", "search"],
)
def test_cancel_closes_what_a_dead_worker_left_and_loses_nothing(
    tmp_path: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    dying = start(
        tmp_path, *arguments, "name=mine", instant=Instant(tmp_path / "log", kill_at="began")
    )
    dying.join(120)
    storage = Storage(url_of(tmp_path / "mlruns" / "optuna.db"), 10)
    (parent,) = {run.tags["mlflow.parentRunId"] for run in recorded(tmp_path / "mlruns")}
    tokens = Jobs(storage).add([Job("mine", parent), Job("another", parent)])
    assert states_in_mlflow(tmp_path) == ["running"]
    assert told(tmp_path, "cancel", "mine") == 0
    assert "1 open trials closed as interrupted, 1 waiting jobs" in capsys.readouterr().out
    assert states_in_mlflow(tmp_path) == ["interrupted"]
    left = jobs_in(storage)
    assert left == tokens[1:]
    assert told(tmp_path, "check", "mine") == 0
    # again, it finds nothing more to close
    assert told(tmp_path, "cancel", "mine") == 0
    with pytest.raises(CancelledError, match="is cancelled"):
        sweep(tmp_path, *arguments, "name=mine")
    assert told(tmp_path, "resume", "mine") == 0
    sweep(tmp_path, *arguments, "name=mine")
    assert states_in_mlflow(tmp_path) == ["finished"] * 4
    assert states_in_optuna(tmp_path).count("COMPLETE") == 4
    assert told(tmp_path, "check", "mine") == 0


def jobs_in(storage: Storage) -> list[str]:
    with storage.engine.connect() as connection:
        return [str(row.token) for row in connection.execute(text("SELECT token FROM mcalc_jobs"))]


LONG = (
    "seed=0,1", "name=mine", "trainer.max_iterations=80", "trainer.max_epochs=1000",
    "tracking.checkpoint_minutes=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a record of that sweep, and the cache that it made."""
    folder = tmp_path_factory.mktemp("undisturbed")
    places = (f"tracking.dir={folder / 'mlruns'}", f"data.cache={folder / 'cache'}")
    worker = start_training(*LONG, *places, log=folder / "log")
    assert worker.ended() == 0, worker.printed()
    return folder


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.xdist_group("halting")
@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_training_stops_at_an_evaluation_on_a_checkpoint_and_resumes_to_the_same_numbers(
    tmp_path: Path, undisturbed: Path, action: str
) -> None:
    runs = tmp_path / "mlruns"
    storage = url_of(runs / "optuna.db")
    arguments = (*LONG, f"tracking.dir={runs}", f"data.cache={undisturbed / 'cache'}")
    first = start_training(*arguments, log=tmp_path / "first.log")
    wait_for_training((runs / "mlflow.db").exists, first)
    wait_for_training(lambda: points(runs) > 0, first)
    assert told(tmp_path, action, "mine") == 0
    assert first.ended() == 2, first.printed()
    said = first.printed().splitlines()[-1]
    assert said.startswith(f"mine is {action.removesuffix('e')}")
    assert "`python -m mcalc.sweep resume mine`" in said
    assert "Traceback" not in first.printed()
    assert len(list((runs / "checkpoints").iterdir())) == 1
    closed = action == "cancel"
    assert states_in_mlflow(tmp_path) == ["interrupted" if closed else "running"]
    assert states_in_optuna(tmp_path) == ["FAIL" if closed else "RUNNING"]
    assert at_work(storage) == {}
    assert told(tmp_path, "check") == 0

    refused = start_training(*arguments, log=tmp_path / "refused.log")
    assert refused.ended() == 2
    assert "resume mine" in refused.printed()
    assert told(tmp_path, "resume", "mine") == 0
    second = start_training(*arguments, log=tmp_path / "second.log")
    assert second.ended() == 0, second.printed()
    assert "resumes from iteration" in second.printed()
    assert predictions(runs) == predictions(undisturbed / "mlruns")
    assert states_in_mlflow(tmp_path) == ["finished"] * 2
    assert told(tmp_path, "check") == 0


def points(runs: Path) -> int:
    """Evaluations in MLflow's database."""
    engine = create_engine(url_of(runs / "mlflow.db"))
    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM metrics WHERE key = 'training/val_loss'"
            return int(connection.execute(text(query)).scalar_one())
    except OperationalError:  # its tables are not there yet
        return 0
    finally:
        engine.dispose()


def test_a_name_is_needed_and_has_to_be_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(tmp_path, "head.weight_lr=1,2", "name=mine")
    for words, said in ((("pause",), "needs the name"), (("cancel", "mime"), "did you mean")):
        with pytest.raises(SystemExit):
            told(tmp_path, *words)
        assert said in capsys.readouterr().err
