"""What a trial gives back: the shapes that training writes and reports read."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Predictions:
    """The reported set, one entry a lesion; all three of one length, in the split's order."""

    ids: tuple[str, ...]
    """A lesion's id, or a scoring unit's."""
    labels: npt.NDArray[np.int64]
    """0 benign, 1 malignant; shape (n,)."""
    probabilities: npt.NDArray[np.float64]
    """Probability of malignant, 0..1; shape (n,)."""


@dataclass(frozen=True)
class CurvePoint:
    """One validation evaluation, and training since the one before."""

    iteration: int
    epoch: float
    train_loss: float
    """Mean cross-entropy over the iterations since the last point."""
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_auc: float = math.nan


@dataclass(frozen=True)
class TrialResult:
    """One finished trial."""

    name: str
    key: str
    """Hash of what changes its numbers (`mcalc.config.identity`)."""
    patience: int | None
    iterations: int
    stop_reason: str
    """`patience`, `max_epochs` or `max_iterations`."""
    reported_iteration: int
    """Iteration of the network reported: the last one, or the best one's."""
    predictions: Predictions
    curve: tuple[CurvePoint, ...]
    seconds: float
    """Wall time of its trajectory up to where it stopped."""


@dataclass(frozen=True)
class Outcome:
    """What became of a trial; plain data, so that it travels between processes."""

    name: str
    key: str
    state: str
    """`finished`, `pruned`, `failed`, `skipped` (it was finished or pruned before) or `left` (to
    another worker)."""
    run_id: str | None
    metrics: dict[str, float]
    error: str | None = None
    retry: bool = True
    """Of a failure: whether another attempt may end otherwise (not after a divergence)."""


@dataclass(frozen=True)
class RecordedTrial:
    """A finished trial as read back from the record."""

    run_id: str
    name: str
    """`AL1` .. `GL10` in the paper's sweeps."""
    sweep: str | None
    params: dict[str, str]
    """Flat config: `head.weight_lr` -> `10.0`."""
    metrics: dict[str, float]
    tags: dict[str, str]
    predictions: Predictions
    curve: tuple[CurvePoint, ...]
    warnings: tuple[str, ...] = ()
    """Fallbacks and allowances that a reader must see."""
    crops: dict[str, str] = field(default_factory=dict)
    """Lesion id -> path of a small PNG of its prepared crop, where kept."""

    @property
    def further_metrics(self) -> tuple[str, ...]:
        """Names in the setting `metrics`: metrics of installed packages recorded with the trial."""
        return tuple(ast.literal_eval(self.params.get("metrics", "[]")))

    def param(self, key: str) -> Any:
        """A parameter as a number where it is one, else as text, None for 'None'."""
        text = self.params.get(key)
        if text is None or text == "None":
            return None
        try:
            value = float(text)
        except ValueError:
            return text
        return int(value) if value.is_integer() else value
