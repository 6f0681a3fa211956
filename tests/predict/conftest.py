"""A record with networks to use: two heads on one split, with lesions kept for validation."""

from __future__ import annotations

from pathlib import Path

import processes
import pytest
from stores import begin_with_tables

PHANTOM = ("data.phantom.lesions=60", "data.phantom.difficulty=0.1")
SETTINGS = (
    "backbone=squeezenet", "backbone.weights=none", *PHANTOM, "protocol=patient",
    "protocol.validation=0.25", "protocol.seed=0", "trainer.batch_size=8",
    "trainer.max_iterations=6", "trainer.val_every=3", "trainer.threads=1",
    "trainer.precision=fp32", "trainer.lr=0.003",
)  # fmt: skip


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `mlruns` has the sweep `sq` of two trials, and the phantom in `.cache`."""
    folder = tmp_path_factory.mktemp("predict")
    begin_with_tables(folder / "mlruns")
    done = processes.run(
        "mcalc.train", "-m", *SETTINGS, "head.weight_lr=1,20", "name=sq", folder=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "empty").mkdir()
    return folder
