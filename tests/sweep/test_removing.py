"""A sweep is removed from both stores, and nothing of another one."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from engine import Instant, start, sweep
from processes import fork, wait_for

from mcalc.sqlite_file import url_of
from mcalc.sweep.__main__ import main
from mcalc.sweep.store.entry import trajectory_of
from mcalc.sweep.store.leases import Leases
from mcalc.sweep.store.storage import Storage
from mcalc.sweep.store.study import SweepStudy
from mcalc.tracking.removal import every_run
from mcalc.tracking.tracker import Tracker

RATES = "head.weight_lr=1,2"


def told(folder: Path, *words: str) -> int:
    return main([*words, f"tracking.dir={folder / 'mlruns'}"])


def runs_of(folder: Path) -> dict[str, str]:
    """Names of all runs in MLflow by id, deleted ones included."""
    client = Tracker(folder / "mlruns", "mcalc").client
    return {run.info.run_id: run.info.run_name for run in every_run(client)}


def folders(folder: Path) -> set[str]:
    return {each.name for each in (folder / "mlruns" / "artifacts").iterdir()}


def two_sweeps(folder: Path) -> tuple[set[str], list[Path]]:
    """`mine` and `other`, each trial of which shares its training run; runs and checkpoints."""
    sweep(folder, RATES, "name=other")
    others = set(runs_of(folder))
    sweep(folder, "head.weight_lr=1,3", "name=mine")
    storage = Storage(url_of(folder / "mlruns" / "optuna.db"), 10)
    checkpoints = folder / "mlruns" / "checkpoints"
    checkpoints.mkdir()
    made = []
    for name in ("other", "mine"):
        study = SweepStudy.find(storage, name)
        assert study is not None
        for attempt in study.attempts():
            made.append(checkpoints / f"{trajectory_of(attempt)}.pth")
            made[-1].write_bytes(b"x" * 1000)
    assert len(set(made)) == 3, "one training run is shared"
    return others, made


def test_without_confirm_it_says_what_would_go_and_removes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_sweeps(tmp_path)
    before = runs_of(tmp_path)
    assert told(tmp_path, "remove", "mine") == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert "mine: 2 entries in Optuna, 3 runs in MLflow" in said
    assert "1 checkpoints" in said
    assert "confirm=true" in said
    assert runs_of(tmp_path) == before


def test_with_confirm_it_is_gone_and_the_other_one_is_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others, checkpoints = two_sweeps(tmp_path)
    assert told(tmp_path, "remove", "mine", "confirm=true") == 0
    gone(tmp_path, others, checkpoints)
    # the name is free
    sweep(tmp_path, "head.weight_lr=1,3", "name=mine")
    assert told(tmp_path, "check") == 0
    assert "mine: 2 complete" in capsys.readouterr().out


def gone(folder: Path, others: set[str], checkpoints: list[Path]) -> None:
    assert set(runs_of(folder)) == others
    assert folders(folder) <= others
    assert [file.is_file() for file in checkpoints] == [True, True, True, False]
    assert told(folder, "check", "other") == 0
    with pytest.raises(SystemExit):
        told(folder, "check", "mine")


def dying(folder: str) -> None:
    """Remove, and die of SIGKILL as the second run's files go."""
    seen = []
    real = shutil.rmtree

    def rmtree(place: object, *arguments: object, **options: object) -> None:
        if "artifacts" in str(place):
            seen.append(place)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        real(place, *arguments, **options)  # type: ignore[arg-type]

    shutil.rmtree = rmtree  # type: ignore[assignment]
    told(Path(folder), "remove", "mine", "confirm=true")


@pytest.mark.whole
def test_killed_halfway_the_same_command_finishes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others, checkpoints = two_sweeps(tmp_path)
    process = fork(dying, str(tmp_path))
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    for words in (("resume", "mine"), ("pause", "mine")):
        with pytest.raises(SystemExit):
            told(tmp_path, *words)
        assert "finish that with `python -m mcalc.sweep remove mine" in capsys.readouterr().err
    assert told(tmp_path, "remove", "mine", "confirm=true") == 0
    gone(tmp_path, others, checkpoints)


@pytest.mark.whole
def test_a_sweep_at_work_is_not_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worker = start(
        tmp_path, RATES, "name=mine", instant=Instant(tmp_path / "log", gate=tmp_path / "gate")
    )
    wait_for((tmp_path / "log").exists, worker)
    with pytest.raises(SystemExit):
        told(tmp_path, "remove", "mine", "confirm=true")
    assert "works at mine" in capsys.readouterr().err
    (tmp_path / "gate").touch()
    worker.join(120)
    assert worker.exitcode == 0
    assert told(tmp_path, "check") == 0
    storage = Storage(url_of(tmp_path / "mlruns" / "optuna.db"), 10)
    assert Leases(storage, "mine").owners() == {}
