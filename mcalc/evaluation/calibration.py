"""Whether probabilities mean what they say, and temperature scaling.

Nothing is fitted on the lesions that are judged: a temperature comes from other lesions. Slope and
intercept are descriptions of the judged ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

_FURTHEST = 0.99 * math.exp(10)
"""Temperatures from here on are the end of what scikit-learn searches."""
BINS = 10
"""Groups of a reliability diagram, of about as many lesions each."""


@dataclass(frozen=True)
class Calibration:
    """How probabilities agree with what was found."""

    brier: float
    """Mean squared distance of probability and label: 0 is best, 0.25 is always saying 0.5."""
    slope: float
    """Of the label's log odds against those stated: 1 is right, below 1 is too extreme."""
    intercept: float
    """Log odds by which stated ones are too small on the whole, at a slope of 1: 0 is right."""


def calibration(labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64]) -> Calibration:
    """Brier score, calibration slope and calibration in the large.

    Source: E. W. Steyerberg et al., Epidemiology 21 (2010) 128. Slope and intercept are nan where a
    class is absent, or where the log odds tell the classes apart, so that no slope fits.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        odds: log odds of malignant; shape (n,).
    """
    brier = float(np.mean((expit(odds) - labels) ** 2))
    if len(np.unique(labels)) < 2:
        return Calibration(brier, math.nan, math.nan)
    slope = math.nan if _tells_apart(labels, odds) else _slope(labels, odds)
    return Calibration(brier, slope, _in_the_large(labels, odds))


def temperature(labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64]) -> float:
    """What log odds are to be divided by, fitted on lesions that are not judged.

    scikit-learn's temperature scaling (C. Guo et al., ICML 2017): the least log loss.

    Args:
        labels: 0 benign, 1 malignant; shape (n,), both present.
        odds: log odds of malignant; shape (n,).

    Returns:
        nan where no temperature is the best: the log odds tell the classes apart, or the less they
        say, the better.
    """
    if _tells_apart(labels, odds):
        return math.nan
    # nothing is trained, so that one part with all lesions is the only one
    whole = np.arange(labels.size)
    stated = FrozenEstimator(_Stated().fit())
    scaled = CalibratedClassifierCV(stated, method="temperature", cv=[(whole, whole)])
    scaled.fit(odds[:, None], labels)
    # of any log odds but 0, what comes out tells the factor
    few = 1e-3
    one = scaled.predict_proba(np.array([[few]]))[0, 1]
    found = float(few / np.log(one / (1 - one)))
    return found if 1 / _FURTHEST < found < _FURTHEST else math.nan


@dataclass(frozen=True)
class Bin:
    """A group of lesions with similar probabilities."""

    stated: float
    """Mean probability of malignant."""
    lesions: npt.NDArray[np.intp]
    """Places of its lesions."""


def reliability_bins(probabilities: npt.NDArray[np.float64]) -> list[Bin]:
    """Lesions in `BINS` groups of about as many each, by rising probability; none is empty.

    Args:
        probabilities: of malignant, 0..1; shape (n,).
    """
    groups = np.array_split(np.argsort(probabilities, kind="stable"), BINS)
    return [Bin(float(probabilities[each].mean()), each) for each in groups if each.size]


class _Stated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of scikit-learn's whose decision is the log odds that it is given."""

    def fit(self, *_: object) -> _Stated:
        """Nothing to learn."""
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Log odds of malignant, (n,), from (n, 1).

        Half of them: scikit-learn takes (-x, x) for the logits of two classes.
        """
        return odds[:, 0] / 2

    def predict(self, odds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """1 where malignant is the likelier class, which scikit-learn asks for and does not use."""
        return (odds[:, 0] > 0).astype(np.int64)


def _tells_apart(labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64]) -> bool:
    malignant, benign = odds[labels == 1], odds[labels == 0]
    return bool(malignant.min() >= benign.max() or malignant.max() <= benign.min())


def _slope(labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64]) -> float:
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    return float(model.fit(odds[:, None], labels).coef_[0, 0])


def _in_the_large(labels: npt.NDArray[np.int64], odds: npt.NDArray[np.float64]) -> float:
    """The shift of all log odds with which as many malignant lesions are expected as there are.

    The maximum of the likelihood of a logistic regression with a slope of 1.
    """
    wanted = float(labels.sum())
    reach = float(np.abs(odds).max()) + 50
    return float(brentq(lambda shift: float(expit(odds + shift).sum()) - wanted, -reach, reach))
