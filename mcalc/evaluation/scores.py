"""The scores of a trial: what is computed from its predictions, recorded and shown in the report.

To add one: docs/recipes.md. It is recorded with every new trial, and the report shows it for every
recorded one, as it computes scores from the recorded predictions. A package of your own adds one by
an entry point of the group `mcalc.metrics` that names a `Metric` (`mcalc.plugins`), and by its name
in the setting `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcalc.evaluation.clustered import Interval, Patients
from mcalc.evaluation.metrics import Confusion, auc, auc_interval, log_loss, rate_bounds
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
    interval: Callable[[Labels, Probabilities, Patients], Interval] | None = None
    """95 %, clustered by the lesions' patients (None: each lesion is one); recorded as `<name>_low`
    and `<name>_high`."""
    shown: bool = True
    """Whether the report shows it; others are recorded only."""


def _of_counts(name: str) -> Callable[[Labels, Probabilities], float]:
    """A property of the confusion matrix at the threshold 0.5."""
    return lambda labels, probabilities: float(
        getattr(Confusion.from_predictions(labels, probabilities), name)
    )


def _rate(name: str, heading: str) -> Metric:
    """A property of the confusion matrix, with its interval."""
    return Metric(
        name,
        heading,
        _of_counts(name),
        lambda labels, probabilities, patients: rate_bounds(name, labels, probabilities, patients),
    )


METRICS = (
    _rate("accuracy", "Accuracy"),
    Metric("auc", "AUC", auc, auc_interval),
    Metric("log_loss", "Log loss", log_loss, shown=False),
    _rate("recall", "Recall"),
    _rate("precision", "Prec."),
    _rate("specificity", "Spec."),
    _rate("f_measure", "F"),
)


def find_metric(name: str) -> Metric:
    """The metric of that name, built in or a package's. Raises UserError as `plugins.find`."""
    return find("metrics", name, {metric.name: metric for metric in METRICS}, Metric, "metrics")


def check_metrics(names: Iterable[str]) -> None:
    """Raise UserError as `find_metric`: before training, which asks for them at its very end."""
    for name in names:
        find_metric(name)


def all_scores(
    labels: Labels,
    probabilities: Probabilities,
    patients: Patients = None,
    further: Sequence[str] = (),
) -> dict[str, float]:
    """Every metric's value by name, with `_low` and `_high` of those that have an interval.

    Args:
        labels: shape (n,).
        probabilities: shape (n,).
        patients: of each lesion; None takes every lesion for a patient of its own.
        further: names of metrics from installed packages.

    Raises UserError as `find_metric`, and where a package's metric fails.
    """
    scores: dict[str, float] = {}
    chosen = (*METRICS, *(find_metric(name) for name in further))
    for metric in chosen:
        scores[metric.name] = float(metric.compute(labels, probabilities))
        if metric.interval:
            low, high = metric.interval(labels, probabilities, patients)
            scores |= {f"{metric.name}_low": low, f"{metric.name}_high": high}
    return scores
