"""A record with networks to use: two heads on one split, with lesions kept for validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import processes
from stores import begin_with_images, begin_with_tables

PHANTOM = ("data.phantom.lesions=60", "data.phantom.difficulty=0.1")
SETTINGS = (
    "backbone.weights=none", *PHANTOM, "protocol=patient",
    "protocol.validation=0.25", "protocol.seed=0", "trainer.batch_size=8",
    "trainer.max_iterations=6", "trainer.val_every=3", "trainer.threads=1",
    "trainer.precision=fp32", "trainer.lr=0.003",
)  # fmt: skip


def train(folder: Path, *arguments: str, settings: Sequence[str] = SETTINGS) -> None:
    """Run a sweep with these settings in a folder, whose `mlruns` then has it."""
    begin_with_tables(folder / "mlruns")
    begin_with_images(folder)
    done = processes.run("mcalc.train", "-m", *settings, *arguments, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
