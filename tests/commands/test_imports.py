"""Help and typing errors are answered without importing what takes seconds to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import processes
import pytest
from parameters import most_are_whole

from mcalc.iteration import usable_cores

HEAVY = {
    "torch", "pytorch_lightning", "mlflow", "optuna", "sqlalchemy", "numpy", "scipy", "cv2", "PIL",
    "pydicom",
}  # fmt: skip
"""NumPy alone, or SQLAlchemy, is half of what such an answer may take."""
_PROGRAM = """
import atexit, json, runpy, sys
place, module, *sys.argv[1:] = sys.argv[1:]
atexit.register(lambda: open(place, "w").write(json.dumps(sorted(sys.modules))))
runpy.run_module(module, run_name="__main__")
"""


OPENING = [
    ["mcalc.train", "-m", "head.weight_lr=1,2", "storage=mysql://host/name"],
    ["mcalc.train", "-m", "head.weight_lr=1,2", "tracking.uri=host:5000"],
    ["mcalc.train", "-m", "head.weight_lr=1,2", "backbone.weights=nowhere.pth"],
    ["mcalc.train", "-m", "backbone.weights=imagenet,nowhere.pth"],
    ["mcalc.train", "tracking.uri=host:5000"],
    ["mcalc.report", "tracking.uri=host:5000"],
    ["mcalc.data", "data=cbis_ddsm"],
    ["mcalc.data", "data=folder", "data.root=nowhere"],
    ["mcalc.paper", "data.csv_dir=nowhere"],
    ["mcalc.weights"],
    ["mcalc.weights", "backbone.weights=nowhere.pth"],
    ["mcalc.weights", "backbone.weights=nowhere.pth", "to=nowhere.txt"],
    ["mcalc.sweep", "pause"],
    ["mcalc.tracking.page", "nowhere", "5000"],
    ["mcalc.sweep.dashboard", "sqlite:///nowhere/optuna.db", "many"],
]
"""Mistakes in what a command is about to open."""


def imported(tmp_path: Path, *command: str) -> set[str]:
    """Top-level packages that a command has imported when it ends."""
    place = tmp_path / "modules.json"
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(place), *command],
        cwd=tmp_path, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return {name.split(".")[0] for name in json.loads(place.read_text())}


@pytest.mark.parametrize(
    "command",
    [
        ["mcalc"],
        ["mcalc", "train", "--help"],
        ["mcalc.train", "--help"],
        ["mcalc.train", "--help", "all"],
        ["mcalc.train", "head.wieght_lr=1"],
        ["mcalc.train", "-m", "head.wieght_lr=1,2"],
        ["mcalc.train", "backbone=alexnte"],
        ["mcalc.train", "head.weight_lr=ten"],
        ["mcalc.train", "head.weight_lr=1,2"],
        ["mcalc.train", "-m", "sweep=alexnte"],
        ["mcalc.train", "-m", "sweep=alexnet", "data.phantom.lesions=-1"],
        ["mcalc.train", "-m", "trainer.lr=1,-1"],
        ["mcalc.train", "-m", "trainer.lr=1,ten"],
        ["mcalc.train", "from_run=mine", "seed=1"],
        ["mcalc.data", "--help"],
        ["mcalc.data", "pixel=true"],
        ["mcalc.sweep", "--help"],
        ["mcalc.sweep", "lsit"],
        ["mcalc.sweep", "list", "tracking.dri=x"],
        ["mcalc.paper", "--help"],
        ["mcalc.paper", "data.csv_dri=x"],
        ["mcalc.export", "--help"],
        ["mcalc.export", "too=x"],
        ["mcalc.report", "--help"],
        ["mcalc.report", "tabel=1"],
        ["mcalc.report", "tracking.dir=nowhere"],
        ["mcalc.train", "data=cbis_ddsm", "data.root=nowhere"],
        ["mcalc.train", "-m", "sweep=alexnet", "data=cbis_ddsm", "data.root=nowhere"],
        ["mcalc.train", "data=cmmd", "data.region=full", "data.root=nowhere"],
        ["mcalc.train", "data=folder", "data.root=nowhere"],
        ["mcalc.train", "backbone.weights=nowhere.pth"],
        ["mcalc.train", "from_run=mine"],
        ["mcalc.predict", "input=nowhere"],
        ["mcalc.predict", "run=mine", "input=nowhere"],
        ["mcalc.export", "run=mine", "to=mine.onnx"],
        ["mcalc.sweep", "list"],
        ["mcalc.sweep", "show", "alexnet"],
        *most_are_whole(OPENING, 3),
    ],
    ids=" ".join,
)
def test_help_and_mistakes_import_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    found = imported(tmp_path, *command)
    assert "mcalc" in found
    assert found & HEAVY == set()
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.whole
def test_a_dry_run_leaves_pytorch_to_the_process_that_measures_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if usable_cores() == 1:
        pytest.skip("one core: the step is measured in the process that plans")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = (
        "mcalc.train", "-m", "seed=0,1", "dry_run=true", "backbone=squeezenet",
        "data.phantom.lesions=24", "trainer.batch_size=4",
    )  # fmt: skip
    for _ in range(2):  # the second one remembers the step
        found = imported(tmp_path, *command)
        assert found & {"torch", "torchvision", "pytorch_lightning", "mlflow"} == set()


@pytest.mark.whole
def test_a_dry_run_on_recorded_speeds_imports_no_pytorch(tmp_path: Path) -> None:
    sweep = (
        "mcalc.train", "-m", "backbone=squeezenet", "backbone.weights=none", "trainer.batch_size=4",
        "data.phantom.lesions=24", "trainer.max_iterations=2",
    )  # fmt: skip
    done = processes.run(*sweep, "seed=0,1", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = imported(tmp_path, *sweep, "seed=0,1,2", "dry_run=true")
    assert found & {"torch", "pytorch_lightning", "torchvision", "mlflow", "pandas"} == set()
    printed = processes.run(*sweep, "seed=0,1,2", "dry_run=true", folder=tmp_path).stdout
    assert "2 finished, 1 to run" in printed
    assert "from this machine's record" in printed
