"""A record is copied or moved wherever a kill left its sweep: each goes on to the same results."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from engine import Instant, start
from parameters import most_are_whole
from processes import run

from mcalc.config import TrackingConfig
from mcalc.tracking.reader import read_trials

pytestmark = pytest.mark.slow

RATES = ("head.weight_lr=1,2,3", "name=mine")
NAMES = [f"head.weight_lr={rate}" for rate in (1, 2, 3)]


def cut_off(folder: Path, place: str, name: str) -> None:
    """A sweep whose worker is killed at this place of this trial."""
    worker = start(folder, *RATES, instant=Instant(folder / "log", place, name, files=True))
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL


def figures(folder: Path) -> dict[str, float]:
    """The accuracies that the sweep ends with when the same command is given, and that are read.

    In processes of their own: MLflow remembers where a run's files go.
    """
    worker = start(folder, *RATES, instant=Instant(folder / "log", files=True))
    worker.join(60)
    assert worker.exitcode == 0
    record = f"tracking.dir={folder / 'mlruns'}"
    done = run("mcalc.sweep", "check", record, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mine: 3 complete\n" in done.stdout
    assert "Optuna and MLflow agree" in done.stdout
    trials = read_trials(TrackingConfig(dir=str(folder / "mlruns")), "mine")
    return {trial.name: trial.metrics["accuracy"] for trial in trials}


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a record but what SQLite keeps beside its databases."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in (folder / "mlruns").rglob("*")
        if file.is_file() and not file.name.endswith(("-shm", "-wal"))
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The accuracies of a sweep that nothing cut off."""
    found = figures(tmp_path_factory.mktemp("undisturbed"))
    assert list(found) == NAMES
    return found


@pytest.mark.parametrize(
    ("first", "place", "name"),
    most_are_whole(
        [
            # MLflow has the run, and no file of it
            ("original", "opened", NAMES[1]),
            *(
                (first, place, name)
                for name in NAMES[:2]
                for place in ("opened", "began", "recorded", "told")
                for first in ("original", "copy")
                if (first, place, name) != ("original", "opened", NAMES[1])
            ),
        ],
        1,
    ),
)
def test_copy_and_original_go_on_apart_to_the_same_results(
    tmp_path: Path, undisturbed: dict[str, float], first: str, place: str, name: str
) -> None:
    folders = [tmp_path / "original", tmp_path / "copy"]
    folders[0].mkdir()
    cut_off(folders[0], place, name)
    shutil.copytree(*folders)
    if first == "copy":
        folders.reverse()
    for folder, other in zip(folders, reversed(folders), strict=True):
        was = content(other)
        assert figures(folder) == undisturbed
        assert content(other) == was


@pytest.mark.parametrize("place", most_are_whole(["opened", "began", "recorded", "told"], 1))
def test_a_record_of_one_trial_that_was_cut_off_is_moved(
    tmp_path: Path, undisturbed: dict[str, float], place: str
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    cut_off(before, place, NAMES[0])
    now = tmp_path / "now"
    shutil.move(before, now)
    assert figures(now) == undisturbed
    assert not before.exists()
