"""A record that was made here comes out the same from a clean clone of the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import processes
import pytest
from sweep_processes import SMALL

from mcalc.config import TrackingConfig
from mcalc.tracking.reader import read_trials

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.whole


def call(folder: Path, *words: str, status: int = 0) -> str:
    """What a command prints, with the code of this folder alone; it has to end with this status."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def train(folder: Path, *arguments: str, status: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = processes.run("mcalc.train", *arguments, folder=folder, environment=environment)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout of git to clone")
def test_from_a_clean_clone(tmp_path: Path) -> None:
    made, clone = tmp_path / "made", tmp_path / "clone"
    for folder in (made, clone):
        call(tmp_path, "git", "clone", "--quiet", str(ROOT), str(folder))
    train(made, *SMALL, "name=mine")
    shutil.copytree(made / "mlruns", clone / "mlruns", dirs_exist_ok=True)
    shutil.rmtree(made)
    where = call(clone, sys.executable, "-c", "import mcalc; print(mcalc.__file__)")
    assert where.strip() == str(clone / "mcalc" / "__init__.py")
    printed = train(clone, "from_run=mine", "tracking.keep_models=none")
    assert "all numbers are equal, to the last bit" in printed
    assert "revision of the code" not in printed, "it is the same"
    (trial,) = read_trials(TrackingConfig(dir=str(clone / "mlruns")))
    assert trial.run_id in printed
    # code whose numbers are others says so itself
    identity = clone / "mcalc" / "config" / "identity.py"
    text = identity.read_text()
    (line,) = [each for each in text.splitlines() if each.startswith("NUMERICS_VERSION = ")]
    version = int(line.split()[-1])
    identity.write_text(text.replace(line, f"NUMERICS_VERSION = {version + 1}"))
    message = train(clone, "from_run=mine", status=2)
    assert f"numerics version was {version}, here it is {version + 1}" in message
