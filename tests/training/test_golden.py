"""Twenty iterations of each backbone in fp32 beside their recorded losses: numerics do not drift.

No proof that they are right, which others are; a guard against a change that nobody meant. Written
by

    python tests/training/test_golden.py

which is to be run where `NUMERICS_VERSION` is raised. Other processors, threads and versions of
PyTorch sum in another order. Over one and two threads and both memory formats (`... spread`) the
losses differed by a tenth of `TOLERANCE` at most. In GoogLeNet, batch normalisation over four
images magnifies a last bit tenfold every other iteration: only its first losses are compared.
BVLC's AlexNet takes numbers 57 times as large as torchvision's, which magnifies a last bit too:
1e-3 after twenty iterations.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mcalc.config import (
    Accelerator,
    AugmentConfig,
    AugmentPlace,
    BackboneConfig,
    Config,
    HeadConfig,
    Precision,
    ProtocolName,
    StoppingConfig,
    TrainerConfig,
)
from mcalc.config.trial import plan_trial
from mcalc.data.loading.datamodule import CropData
from mcalc.data.splits.protocols import Split
from mcalc.data.splits.samples import Sample
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.classifier import Classifier
from mcalc.training.trajectory import run_trajectory

FILE = Path(__file__).parent / "cases" / "golden.json"
TOLERANCE = {"alexnet_bvlc": 1e-2, "googlenet": 1e-2}
"""Relative, of a loss; 1e-3 for the others."""
COMPARED = {"googlenet": 4}
"""How many losses; all of the others'."""
BATCH, ITERATIONS, HELD_OUT = 4, 20, 8


def losses(name: str, *, threads: int = 1, channels_last: bool = False) -> list[float]:
    """Training and validation loss at iterations 1, 5, 10, 15 and 20."""
    contract = BACKBONES[name].contract
    draw = np.random.default_rng(7)
    count = BATCH * 5 + HELD_OUT
    labels = [int(i % 3 == 0) for i in range(count)]
    pixels = draw.normal(110, 40, (count, contract.size, contract.size))
    pixels += 30 * np.array(labels)[:, None, None]
    settings = TrainerConfig(
        lr=1e-5,
        batch_size=BATCH,
        max_epochs=ITERATIONS,
        max_iterations=ITERATIONS,
        val_every=5,
        precision=Precision.fp32,
        channels_last=channels_last,
        accelerator=Accelerator.cpu,
        threads=threads,
    )
    backbone = BackboneConfig(name=name, weights="none")
    augment = AugmentConfig(place=AugmentPlace.cpu)
    stopping = StoppingConfig(patience=None)
    config = Config(seed=5, backbone=backbone, augment=augment, trainer=settings, stopping=stopping)
    samples = [Sample(f"l{i}", i, label, f"p{i}", f"l{i}") for i, label in enumerate(labels)]
    training, held_out = tuple(range(BATCH * 5)), tuple(range(BATCH * 5, count))
    split = Split(ProtocolName.patient, 0, training, held_out, held_out, 0, "golden")
    images = pixels.clip(0, 255).astype(np.uint8)
    data = CropData(images, samples, split, AugmentConfig(), settings, seed=5)
    built = build_classifier(backbone, 5)
    module = Classifier(built, backbone, HeadConfig(), settings)
    (result,) = run_trajectory(module, data, [plan_trial("golden", config, "golden")])
    return [loss for point in result.curve for loss in (point.train_loss, point.val_loss)]


@pytest.mark.whole
@pytest.mark.parametrize("name", BACKBONES)
def test_losses_are_what_they_were(name: str) -> None:
    recorded = json.loads(FILE.read_text())[name]
    compared = COMPARED.get(name, len(recorded))
    found = losses(name)
    assert len(found) == len(recorded) == 10
    tolerance = TOLERANCE.get(name, 1e-3)
    np.testing.assert_allclose(found[:compared], recorded[:compared], rtol=tolerance)


if __name__ == "__main__":
    found = {name: losses(name) for name in BACKBONES}
    if sys.argv[1:] == ["spread"]:
        for name, expected in found.items():
            others = [losses(name, threads=2), losses(name, channels_last=True)]
            compared = COMPARED.get(name, len(expected))
            spread = np.abs(np.array(others) / np.array(expected) - 1)[:, :compared].max()
            print(f"{name}: losses differ by {spread:.1e} at most")
    else:
        FILE.write_text(json.dumps(found, indent=1) + "\n")
