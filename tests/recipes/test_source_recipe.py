"""The recipe for a data source, followed to the letter: its text is taken out of docs/data.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").split("## Another source")[1]
MODULE, LINE = re.findall(r"```python\n(.*?)```", RECIPE, flags=re.DOTALL)
(YAML,) = re.findall(r"```yaml\n(.*?)```", RECIPE, flags=re.DOTALL)
ENTRY_POINT = re.findall(r"```toml\n.*\n(toy = .*)\n```", RECIPE)[0].replace('"', "")
"""As an installer writes it from pyproject.toml."""
SHORT = (
    "backbone=squeezenet",
    "backbone.weights=none",
    "trainer.max_iterations=2",
    "trainer.batch_size=4",
    "trainer.threads=1",
    "tracking.save_network=false",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of twenty patients."""
    folder = tmp_path_factory.mktemp("toys")
    rng = np.random.default_rng(0)
    for number in range(40):
        label = "malignant" if number % 2 else "benign"
        pixels = rng.integers(0, 256, (40, 50), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"P{number // 2}_{label}_{number}.png")
    return folder


def run(folder: Path, path: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in `folder`, with `path` before everything installed."""
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(path), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def check_commands(folder: Path, path: Path, images: Path, *source: str) -> None:
    """The data is checked, trained on, and missed by name where no root is given."""
    found = run(folder, path, "mcalc.data", *source, f"data.root={images}")
    assert found.returncode == 0, found.stderr
    assert f"{images}: toy images" in found.stdout
    assert "crops on disk: for 40 of 40 lesions" in found.stdout
    for module in ("mcalc.data", "mcalc.train"):
        missed = run(folder, path, module, *source)
        assert missed.returncode == 2
        assert missed.stderr == (
            "error: data=toy needs data.root=PATH: the folder of the toy images. Without one, use "
            "data=phantom\n"
        )
    trained = run(folder, path, "mcalc.train", *source, f"data.root={images}", *SHORT)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "toy images: 40 lesions of 20 patients, 20 benign, 20 malignant" in trained.stdout


@pytest.mark.slow
def test_a_source_is_a_module_a_yaml_and_a_line(tmp_path: Path, images: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("mcalc", "conf", "hydra_plugins", "sweeps"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "mcalc" / "data" / "sources" / "toy.py").write_text(MODULE)
    (checkout / "conf" / "data" / "toy.yaml").write_text(YAML)
    registry = checkout / "mcalc" / "data" / "sources" / "registry.py"
    before, after = registry.read_text().split("BUILT_IN = {\n")
    registry.write_text(f"{before}BUILT_IN = {{\n{LINE}{after}")
    check_commands(checkout, checkout, images, "data=toy")


@pytest.mark.slow
def test_a_source_of_an_installed_package_needs_no_change_here(
    tmp_path: Path, images: Path
) -> None:
    installed, work = tmp_path / "site", tmp_path / "work"
    info = installed / "toy_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mcalc.sources]\n{ENTRY_POINT}\n")
    package = installed / "toy_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "source.py").write_text(MODULE)
    work.mkdir()
    check_commands(work, installed, images, "data.source=toy")
