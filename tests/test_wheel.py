"""What a user gets from `pip install mcalc`: a wheel in a folder outside the checkout works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "backbone=squeezenet",
    "backbone.weights=none",
    "data.phantom.lesions=16",
    "trainer.batch_size=4",
    "trainer.max_iterations=2",
    "trainer.threads=1",
    "tracking.keep_models=none",
)
pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as `pip install --target` writes it."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "w"), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = (folder / "w").glob("*.whl")
    target = ["install", "--no-deps", "--target", str(folder / "site"), str(built)]
    subprocess.run([*pip, *target], check=True, capture_output=True)
    return folder / "site"


def command(site: Path, folder: Path, *words: str) -> str:
    """What a command of the installed wheel prints; it has to end well."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_wheel_plans_trains_reports(installed: Path, tmp_path: Path) -> None:
    def mcalc(module: str, *arguments: str) -> str:
        return command(installed, tmp_path, sys.executable, "-m", f"mcalc.{module}", *arguments)

    where = command(
        installed, tmp_path, sys.executable, "-c", "import mcalc; print(mcalc.__file__)"
    )
    assert where.strip() == str(installed / "mcalc" / "__init__.py")
    assert "10 trials in 7 training runs" in mcalc(
        "train", "-m", "sweep=alexnet", *SMALL[2:], "dry_run=true"
    )
    assert "16" in mcalc("data", "data=phantom", "data.phantom.lesions=16")
    sweep = ("-m", "name=alexnet", "head.weight_lr=1,10", *SMALL)
    assert "2 of 2 done" in mcalc("train", *sweep)
    assert "2 networks on phantoms" in mcalc("report")
    assert (tmp_path / "report" / "index.html").is_file()
    script = str(installed / "bin" / "mcalc")
    assert "train" in command(installed, tmp_path, sys.executable, script)
