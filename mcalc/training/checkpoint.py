"""The state of a training run on disk, from which a killed one resumes with the same numbers.

All that a run's future depends on is in it: weights and buffers, momentum, the random generators
that dropout draws from, statistics under way and the curve so far. Order and augmentation are
functions of seed and iteration (`mcalc.data.loading.sampler`) and need no state. What a package's
network keeps in plain attributes is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mcalc.atomic_write import write_binary
from mcalc.errors import UserError, shown
from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.tensors import tensors_of
from mcalc.models.torch_file import open_torch_file
from mcalc.models.weights import bytes_of
from mcalc.results import CurvePoint, Predictions
from mcalc.training.checkpoint_place import remove_checkpoint
from mcalc.training.device import Setup
from mcalc.training.random_state import RandomState

FORMAT = 1
_MOST_THREADS = 4096
_MOST_BESIDE = 2**26
"""Bytes of a checkpoint beside tensors of the network: predictions, curve, random generators."""
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
    """Every tensor of the network (`mcalc.models.tensors`)."""
    optimizer: dict[str, Any]
    random: RandomState
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

    def load(self, most_bytes: int | None = None) -> Checkpoint | None:
        """What was saved last; None where there is nothing.

        `most_bytes`: size of the largest file that this run may have written. Every part has a
        checksum (CRC-32, written by torch.save), which is compared; `torch.load` compares none.

        Raises ValueError for a file that holds no checkpoint of this format.
        """
        if not self.path.is_file():
            return None
        size = self.path.stat().st_size
        if most_bytes is not None and size > most_bytes:
            raise ValueError(f"it has {size:,} bytes; one of this run has at most {most_bytes:,}")
        try:
            with open_torch_file(self.path) as file:
                held = file.content
                if not isinstance(held, dict) or "format" not in held:
                    raise DamagedFileError("it is not a checkpoint")
                if held["format"] != FORMAT:
                    raise ValueError(f"its format is {shown(held['format'])}, not {FORMAT}")
                plain = file.whole()
        except (DamagedFileError, OSError, UserError) as error:
            raise ValueError(f"it cannot be read ({error})") from error
        try:
            return _restored(plain)
        except Exception as error:
            # content that is not a checkpoint's fails in any way: no narrower list is complete
            raise ValueError(
                f"it cannot be read ({type(error).__name__} in its content)"
            ) from error

    def remove(self) -> None:
        """Delete the file, if there is one, and what killed processes left of earlier ones."""
        remove_checkpoint(self.path)


def most_bytes(model: nn.Module) -> int:
    """Size of the largest checkpoint of a network: weights, their momentum and the best ones."""
    return 4 * bytes_of(model) + _MOST_BESIDE


def fits(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
    """Whether a checkpoint holds the state of this network and a fresh optimizer of it.

    The optimizer takes the state that the checkpoint has.
    """
    shapes, rates = _shapes(tensors_of(model)), _rates(optimizer)
    best = checkpoint.best.weights if checkpoint.best else None
    try:
        if _shapes(checkpoint.weights) != shapes or (best and _shapes(best) != shapes):
            return False
        optimizer.load_state_dict(checkpoint.optimizer)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        # entries that are missing, or no tensors, or of another kind than an optimizer's
        return False
    momentum = [
        (value.shape, parameter.shape)
        for parameter, state in optimizer.state.items()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    return _rates(optimizer) == rates and all(found == own for found, own in momentum)


def _shapes(weights: Weights) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}


def _rates(optimizer: torch.optim.Optimizer) -> list[tuple[Any, ...]]:
    return [
        tuple(group.get(name) for name in ("lr", "weight_decay", "momentum"))
        for group in optimizer.param_groups
    ]


def _plain(checkpoint: Checkpoint) -> dict[str, Any]:
    """Tensors, numbers, text and containers of them: what torch loads without running code."""
    plain = {entry.name: getattr(checkpoint, entry.name) for entry in fields(Checkpoint)} | {
        "format": FORMAT,
        "setup": asdict(checkpoint.setup),
        "weights": dict(checkpoint.weights),
        "random": list(checkpoint.random.torch),
        "numpy_random": checkpoint.random.numpy,
        "python_random": checkpoint.random.python,
        "curve": [list(astuple(point)) for point in checkpoint.curve],
    }
    if best := checkpoint.best:
        plain["best"] = {
            "iteration": best.iteration,
            "weights": dict(best.weights or {}),
            "lesions": list(best.predictions.ids),
            "labels": torch.from_numpy(best.predictions.labels.copy()),
            "probabilities": torch.from_numpy(best.predictions.probabilities.copy()),
            "logits": torch.from_numpy(np.array(best.predictions.logits)),
        }
    return plain


def _restored(plain: Mapping[str, Any]) -> Checkpoint:
    stored = {entry.name: plain[entry.name] for entry in fields(Checkpoint)}
    stored["setup"] = Setup(**plain["setup"])
    others = (plain.get(f"{whose}_random") for whose in ("numpy", "python"))
    stored["random"] = RandomState(plain["random"], *others)
    stored["curve"] = tuple(CurvePoint(*values) for values in plain["curve"])
    if best := plain["best"]:
        labels, probabilities = best["labels"].numpy(), best["probabilities"].numpy()
        logits = best["logits"].numpy()
        predictions = Predictions(tuple(best["lesions"]), labels, probabilities, logits=logits)
        if not labels.shape == probabilities.shape == logits.shape[:1] == (len(predictions.ids),):
            raise ValueError("predictions are of one length")
        stored["best"] = Snapshot(best["iteration"], predictions, best["weights"])
    checkpoint = Checkpoint(**stored)
    if not (type(checkpoint.iteration) is type(checkpoint.tally_seen) is int):
        raise TypeError("counts are whole numbers")
    if not 1 <= checkpoint.setup.threads <= _MOST_THREADS or checkpoint.iteration < 1:
        raise ValueError("no run has such a state")
    if not all(isinstance(value, int | float) for p in checkpoint.curve for value in astuple(p)):
        raise TypeError("a curve is of numbers")
    if checkpoint.tally.dim() != 2 or checkpoint.tally.shape[1] != 2:
        raise ValueError("a tally has two columns")
    checkpoint.random.check()
    return checkpoint
