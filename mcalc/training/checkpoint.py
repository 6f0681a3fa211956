"""The state of a training run on disk, from which a killed one resumes with the same numbers.

All that a run's future depends on is in it: weights, momentum, the random generators that dropout
draws from, statistics under way and the curve so far. Order and augmentation are functions of seed
and iteration (`mcalc.data.loading.sampler`) and need no state.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mcalc.atomic_write import write_binary
from mcalc.results import CurvePoint, Predictions
from mcalc.training.device import Setup

FORMAT = 1
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """A network that may be reported, with what it says of the subset that is."""

    iteration: int
    predictions: Predictions
    weights: Weights | None
    """None for the network in its present state."""


@dataclass(frozen=True)
class Checkpoint:
    """A training run after `iteration` iterations."""

    setup: Setup
    iteration: int
    weights: Weights
    optimizer: dict[str, Any]
    random: Sequence[Tensor]
    """States of torch's generators: the CPU's, then each CUDA device's."""
    tally: Tensor
    """(k, 2): loss sums and correct counts of training since the last evaluation."""
    tally_seen: int
    """Images behind `tally`."""
    curve: tuple[CurvePoint, ...]
    best: Snapshot | None
    """The network of lowest validation loss, where that one is reported."""
    seconds: float
    """Wall time of the run so far."""


class CheckpointFile:
    """One run's checkpoint. Written aside and renamed, so that it is whole or the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file. Raises OSError (also for torch's own error of a full disk)."""
        try:
            with write_binary(self.path) as file:
                torch.save(_plain(checkpoint), file)
        except RuntimeError as error:  # torch's writer has no error class of its own
            raise OSError(f"torch could not write it: {str(error).splitlines()[0]}") from error

    def load(self) -> Checkpoint | None:
        """What was saved last; None where there is nothing.

        Raises ValueError for a file that holds no checkpoint of this format.
        """
        if not self.path.is_file():
            return None
        if not zipfile.is_zipfile(self.path):
            # torch would try it as a file of its first versions, whose errors have no common class
            raise ValueError("it cannot be read (not a file of torch.save, or cut off)")
        try:
            plain = torch.load(self.path, map_location="cpu", weights_only=True)
            if plain["format"] != FORMAT:
                raise ValueError(f"its format is {plain['format']}, not {FORMAT}")
            return _restored(plain)
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as e:
            raise ValueError(f"it cannot be read ({type(e).__name__})") from e

    def remove(self) -> None:
        """Delete the file, if there is one."""
        if self.path.is_file():
            self.path.unlink()


def checkpoint_path(directory: Path, trajectory: str) -> Path:
    """Where the run with this trajectory key keeps its checkpoint."""
    return directory / "checkpoints" / f"{trajectory}.pth"


def _plain(checkpoint: Checkpoint) -> dict[str, Any]:
    """Tensors, numbers, text and containers of them: what torch loads without running code."""
    plain = {entry.name: getattr(checkpoint, entry.name) for entry in fields(Checkpoint)} | {
        "format": FORMAT,
        "setup": asdict(checkpoint.setup),
        "weights": dict(checkpoint.weights),
        "random": list(checkpoint.random),
        "curve": [list(astuple(point)) for point in checkpoint.curve],
    }
    if best := checkpoint.best:
        plain["best"] = {
            "iteration": best.iteration,
            "weights": dict(best.weights or {}),
            "lesions": list(best.predictions.ids),
            "labels": torch.from_numpy(best.predictions.labels.copy()),
            "probabilities": torch.from_numpy(best.predictions.probabilities.copy()),
        }
    return plain


def _restored(plain: Mapping[str, Any]) -> Checkpoint:
    stored = {entry.name: plain[entry.name] for entry in fields(Checkpoint)}
    stored["setup"] = Setup(**plain["setup"])
    stored["curve"] = tuple(CurvePoint(*values) for values in plain["curve"])
    if best := plain["best"]:
        labels, probabilities = best["labels"].numpy(), best["probabilities"].numpy()
        predictions = Predictions(tuple(best["lesions"]), labels, probabilities)
        stored["best"] = Snapshot(best["iteration"], predictions, best["weights"])
    return Checkpoint(**stored)
