"""Scores of a set of predictions and their uncertainty: pure functions, positive = malignant.

Every rate whose denominator is zero is 0/0 and is given as nan, never as 0 or 1: a rate that cannot
be known must not look like a bad or a good one. Malformed arrays are errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from mcalc.errors import UserError
from mcalc.evaluation.clustered import (
    LEVEL,
    Interval,
    Patients,
    area_interval,
    areas,
    placements,
    rate_interval,
)
from mcalc.results import Predictions


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of a two-class confusion matrix, in the order of the paper's Table 5."""

    tn: int
    """Benign called benign."""
    fn: int
    """Malignant called benign."""
    tp: int
    """Malignant called malignant."""
    fp: int
    """Benign called malignant."""

    def __post_init__(self) -> None:
        for name in ("tn", "fn", "tp", "fp"):
            if getattr(self, name) < 0:
                raise UserError(f"Confusion.{name}={getattr(self, name)}: expected a count from 0")

    @classmethod
    def from_predictions(cls, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Confusion:
        """Count the decisions of `malignant when p > 0.5`.

        At exactly 0.5 the decision is benign: MATLAB's `classify` takes the class of the largest
        score, the first class wins a tie, and benign comes first in alphabetical order.

        Args:
            labels: 0 benign, 1 malignant; shape (n,).
            probabilities: probability of malignant, 0..1; shape (n,).

        Raises:
            UserError: the arrays are empty, differ in length or hold other values.
        """
        truth, score = checked(labels, probabilities)
        malignant, called = truth == 1, score > 0.5
        return cls(
            tn=int(np.sum(~malignant & ~called)),
            fn=int(np.sum(malignant & ~called)),
            tp=int(np.sum(malignant & called)),
            fp=int(np.sum(~malignant & called)),
        )

    @classmethod
    def of(cls, predictions: Predictions) -> Confusion:
        """Counts of recorded predictions, as `from_predictions`."""
        return cls.from_predictions(predictions.labels, predictions.probabilities)

    @property
    def total(self) -> int:
        """Number of predictions."""
        return self.tn + self.fn + self.tp + self.fp

    @property
    def positives(self) -> int:
        """Number of malignant lesions."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Number of benign lesions."""
        return self.tn + self.fp

    @property
    def correct(self) -> int:
        """Number of right decisions."""
        return self.tn + self.tp

    @property
    def accuracy(self) -> float:
        """Right decisions of all; nan without predictions."""
        return _ratio(self.correct, self.total)

    @property
    def recall(self) -> float:
        """Malignant lesions that were called so (sensitivity); nan without malignant lesions."""
        return _ratio(self.tp, self.positives)

    @property
    def precision(self) -> float:
        """Malignant among those called so; nan where nothing was called malignant."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def specificity(self) -> float:
        """Benign lesions that were called so; nan without benign lesions."""
        return _ratio(self.tn, self.negatives)

    @property
    def f_measure(self) -> float:
        """Harmonic mean of recall and precision, 2 TP / (2 TP + FP + FN).

        nan only where nothing is malignant and nothing was called so. It is 0 where malignant
        lesions exist and none was found, although precision may then be nan.
        """
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


RATES = ("accuracy", "recall", "precision", "specificity", "f_measure")
"""Properties of `Confusion` that have an interval."""


def rate_bounds(
    name: str, labels: npt.ArrayLike, probabilities: npt.ArrayLike, patients: Patients = None
) -> Interval:
    """95 % interval of a rate at the threshold 0.5, clustered by patient (`rate_interval`).

    The F-measure is 2 J / (1 + J), which rises with J, the share of found ones among lesions that
    are malignant or called so: the bounds are those of J, converted.

    Args:
        name: an entry of `RATES`.
        labels: 0 benign, 1 malignant; shape (n,).
        probabilities: probability of malignant, 0..1; shape (n,).
        patients: of each lesion; None takes every lesion for a patient of its own.

    Returns:
        Bounds in 0..1; (nan, nan) where the rate is 0/0.

    Raises:
        UserError: the arrays are empty, differ in length or hold other values.
    """
    truth, score = checked(labels, probabilities)
    malignant, called = truth == 1, score > 0.5
    among = {
        "accuracy": np.ones(truth.size, dtype=bool),
        "recall": malignant,
        "precision": called,
        "specificity": ~malignant,
        "f_measure": malignant | called,
    }[name]
    right = (malignant == called)[among]
    of_those = None if patients is None else np.asarray(patients)[among]
    low, high = rate_interval(right, of_those)
    return (2 * low / (1 + low), 2 * high / (1 + high)) if name == "f_measure" else (low, high)


def wilson_interval(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion, without continuity correction.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209; method 3 of R. G. Newcombe, Statistics
    in Medicine 17 (1998) 857.

    Args:
        successes: 0..n.
        n: number of independent trials. Lesions of one patient are not: `rate_bounds` takes that
            into account.
        level: coverage, above 0 and below 1.

    Returns:
        Bounds in 0..1; (nan, nan) for n = 0.

    Raises:
        UserError: successes, n or level is out of range.
    """
    if not 0 <= successes <= n:
        raise UserError(f"wilson_interval: successes={successes} is not within 0..n={n}")
    _check_level(level)
    if n == 0:
        return math.nan, math.nan
    bounds = binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(bounds.low), float(bounds.high)


def auc(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Area under the ROC curve, as the Mann-Whitney statistic: ties count one half.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        probabilities: probability of malignant, 0..1; shape (n,).

    Returns:
        0..1; nan where one class is absent.

    Raises:
        UserError: the arrays are empty, differ in length or hold other values.
    """
    above_benign, _ = placements(*checked(labels, probabilities))
    return float(np.mean(above_benign)) if above_benign.size else math.nan


def auc_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, patients: Patients = None
) -> float:
    """Standard error of the AUC, clustered by patient (`mcalc.evaluation.clustered.areas`).

    nan with fewer than two patients with lesions of a class. Raises UserError as `auc_interval`.
    """
    truth, score = checked(labels, probabilities)
    # rounding may leave a variance of 0 below it
    return math.sqrt(abs(float(areas(truth, score[None], patients).covariance[0, 0])))


def auc_interval(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: Patients = None,
    level: float = LEVEL,
) -> Interval:
    """Interval of the AUC, clustered by patient.

    Obuchowski's variance (DeLong's where every lesion is its own patient), Student's t on the logit
    scale: `mcalc.evaluation.clustered`.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        probabilities: probability of malignant, 0..1; shape (n,).
        patients: of each lesion; None takes every lesion for a patient of its own.
        level: coverage, above 0 and below 1.

    Returns:
        Bounds in 0..1. (nan, nan) where the method says nothing: fewer than two patients with
        lesions of a class, or no spread at all (classes perfectly apart, or every probability the
        same), where the variance of 0 would read as certainty.

    Raises:
        UserError: the arrays are empty, differ in length or hold other values, or level is out of
            range.
    """
    truth, score = checked(labels, probabilities)
    _check_level(level)
    found = areas(truth, score[None], patients)
    return area_interval(
        float(found.values[0]), float(found.covariance[0, 0]), found.freedom([1.0]), level
    )


def majority_rate(labels: npt.ArrayLike) -> float:
    """Accuracy of always naming the commoner class of `labels`: the score of a classifier
    that always gives one answer.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).

    Returns:
        0.5..1.

    Raises:
        UserError: the array is empty or holds other values.
    """
    malignant = float(np.mean(_checked_labels(labels)))
    return max(malignant, 1 - malignant)


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean cross-entropy in nats (MATLAB's validation loss without its regularisation).

    Probabilities are kept 2.2e-16 away from 0 and 1, so that one confident mistake costs 36 nats
    and not infinity; scikit-learn does the same.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        probabilities: probability of malignant, 0..1; shape (n,).

    Raises:
        UserError: the arrays are empty, differ in length or hold other values.
    """
    truth, score = checked(labels, probabilities)
    edge = np.finfo(np.float64).eps
    score = np.clip(score, edge, 1 - edge)
    return float(-np.mean(np.where(truth == 1, np.log(score), np.log1p(-score))))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level={level} is out of range: expected a share above 0 and below 1")


def _checked_labels(labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    truth = np.asarray(labels)
    if truth.ndim != 1 or truth.size == 0:
        raise UserError(
            f"labels has shape {truth.shape}: expected (n,) with at least one prediction to score"
        )
    wrong = truth[~np.isin(truth, (0, 1))]
    if wrong.size:
        raise UserError(f"labels holds {wrong[0]}: expected 0 (benign) and 1 (malignant) only")
    return truth.astype(np.int64)


def checked(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Both as arrays of shape (n,).

    Raises UserError: they are empty, differ in length or hold other values than 0 and 1, and 0..1.
    """
    truth = _checked_labels(labels)
    score = np.asarray(probabilities, dtype=np.float64)
    if score.shape != truth.shape:
        raise UserError(
            f"probabilities has shape {score.shape} and labels {truth.shape}: expected one "
            "probability of malignant a label"
        )
    wrong = score[~((score >= 0) & (score <= 1))]  # nan fails both, so it is found too
    if wrong.size:
        raise UserError(f"probabilities holds {wrong[0]}: expected values from 0 to 1")
    return truth, score
