"""The scores of a trial: what is computed from its predictions, recorded and shown in the report.

To add one: docs/recipes.md. It is recorded with every new trial, and the report shows it for every
recorded one, as it computes scores from the recorded predictions. A package of your own adds one by
an entry point of the group `mcalc.metrics` that names a `Metric` (`mcalc.plugins`), and by its name
in the setting `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcalc.evaluation.metrics import (
    Confusion,
    Interval,
    auc,
    auc_interval,
    log_loss,
    wilson_interval,
)
from mcalc.plugins import find

Labels = npt.NDArray[np.int64]
"""0 benign, 1 malignant; shape (n,)."""
Probabilities = npt.NDArray[np.float64]
"""Probability of malignant, 0..1; shape (n,)."""


@dataclass(frozen=True)
class Metric:
    """One score of predictions."""

    name: str
    """In the record and in CSV files: letters, digits and underscores."""
    heading: str
    """In the report's tables."""
    compute: Callable[[Labels, Probabilities], float]
    """nan where the predictions do not define it."""
    interval: Callable[[Labels, Probabilities], Interval] | None = None
    """95 %, recorded as `<name>_low` and `<name>_high`."""
    shown: bool = True
    """Whether the report shows it; others are recorded only."""


def _accuracy_interval(labels: Labels, probabilities: Probabilities) -> Interval:
    counts = Confusion.from_predictions(labels, probabilities)
    return wilson_interval(counts.correct, counts.total)


def _of_counts(name: str) -> Callable[[Labels, Probabilities], float]:
    """A property of the confusion matrix at the threshold 0.5."""
    return lambda labels, probabilities: float(
        getattr(Confusion.from_predictions(labels, probabilities), name)
    )


METRICS = (
    Metric("accuracy", "Accuracy", _of_counts("accuracy"), _accuracy_interval),
    Metric("auc", "AUC", auc, auc_interval),
    Metric("log_loss", "Log loss", log_loss, shown=False),
    Metric("recall", "Recall", _of_counts("recall")),
    Metric("precision", "Prec.", _of_counts("precision")),
    Metric("specificity", "Spec.", _of_counts("specificity")),
    Metric("f_measure", "F", _of_counts("f_measure")),
)


def find_metric(name: str) -> Metric:
    """The metric of that name, built in or a package's. Raises UserError as `plugins.find`."""
    return find("metrics", name, {metric.name: metric for metric in METRICS}, Metric, "metrics")


def all_scores(
    labels: Labels, probabilities: Probabilities, further: Sequence[str] = ()
) -> dict[str, float]:
    """Every metric's value by name, with `_low` and `_high` of those that have an interval.

    Args:
        labels: shape (n,).
        probabilities: shape (n,).
        further: names of metrics from installed packages.

    Raises UserError as `find_metric`, and where a package's metric fails.
    """
    scores: dict[str, float] = {}
    chosen = (*METRICS, *(find_metric(name) for name in further))
    for metric in chosen:
        scores[metric.name] = float(metric.compute(labels, probabilities))
        if metric.interval:
            low, high = metric.interval(labels, probabilities)
            scores |= {f"{metric.name}_low": low, f"{metric.name}_high": high}
    return scores
