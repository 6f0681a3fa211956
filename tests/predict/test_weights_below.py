"""A head is used above the frozen weights that it was trained above, or not at all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import processes
import pytest
import torch
from torchvision.models import SqueezeNet
from trained_record import SETTINGS

from mcalc import runs

pytestmark = [pytest.mark.slow, pytest.mark.whole]
PHANTOM = ("data=phantom", "data.phantom.lesions=60", "data.phantom.difficulty=0.1")


def online() -> None:
    """What a download gives lies in the working folder."""
    from mcalc.models import backbones

    backbones.download = lambda _: Path("squeezenet.pth").resolve()  # type: ignore[attr-defined]


def offline() -> None:
    from mcalc.models import backbones
    from mcalc.models.weights import WeightsUnavailableError

    def fail(_: str) -> Path:
        raise WeightsUnavailableError("there is no network here")

    backbones.download = fail  # type: ignore[attr-defined]


def trained(folder: Path, before: Callable[[], None]) -> None:
    torch.manual_seed(1)
    torch.save(SqueezeNet(version="1_1").state_dict(), folder / "squeezenet.pth")
    done = processes.run(
        "mcalc.train", *SETTINGS, "name=one", "backbone=squeezenet", "backbone.weights=imagenet",
        "backbone.on_missing_weights=random", "backbone.freeze=all", "augment.frozen_copies=1",
        folder=folder, before=before,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_random_weights_that_were_allowed_are_drawn_again(tmp_path: Path) -> None:
    trained(tmp_path, offline)
    done = processes.run("mcalc.predict", "run=one", *PHANTOM, folder=tmp_path, before=online)
    assert done.returncode == 0, done.stderr
    said = {row["id"]: float(row["log_odds"]) for row in csv.DictReader(io.StringIO(done.stdout))}
    recorded = runs.predictions("one", str(tmp_path / "mlruns"))
    assert [said[name] for name in recorded.lesion] == pytest.approx(list(recorded.log_odds))


def test_nothing_stands_in_for_weights_that_were_downloaded(tmp_path: Path) -> None:
    trained(tmp_path, online)
    done = processes.run("mcalc.predict", "run=one", *PHANTOM, folder=tmp_path, before=offline)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    expected = "one was trained above frozen weights, imagenet .*there is no network here"
    assert re.search(expected, done.stderr), done.stderr
