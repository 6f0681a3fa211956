"""What can be scored without looking at a pixel: the bar that a trained network has to clear.

In CBIS-DDSM the size of a crop alone tells malignant from benign with an AUC of about 0.70,
because TCIA cut each crop to its lesion. A result without that number beside it says little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcalc.errors import UserError
from mcalc.metrics import Confusion, Interval, auc, auc_interval


@dataclass(frozen=True, slots=True)
class Baseline:
    """Scores of a baseline on the reported set."""

    auc: float
    """0..1; nan where the reported set holds one class."""
    auc_interval: Interval
    """95 %, DeLong; (nan, nan) where undefined (`mcalc.metrics.auc_interval`)."""
    accuracy: float
    """0..1, at the decision `p > 0.5`."""


def size_only(
    train_sizes: npt.ArrayLike,
    train_labels: npt.ArrayLike,
    test_sizes: npt.ArrayLike,
    test_labels: npt.ArrayLike,
) -> Baseline:
    """Logistic regression on the crop's size: standardised log width, log height and log area.

    Fitted on the training part only (means and spreads included), with scikit-learn's default L2
    penalty, which also settles that log area is the sum of the other two.

    Args:
        train_sizes: width and height of each training crop, pixels above 0; shape (n, 2).
        train_labels: 0 benign, 1 malignant; shape (n,).
        test_sizes: the same of the reported set; shape (m, 2).
        test_labels: shape (m,).

    Raises:
        UserError: shapes or values are wrong, or the training part holds one class only.
    """
    features = _size_features(train_sizes, "train_sizes")
    truth = _training_labels(train_labels, features.shape[0])
    if np.unique(truth).size < 2:
        raise UserError(
            "train_labels holds one class only: the size baseline needs benign and malignant "
            "lesions in the training part; use more lesions or another split seed"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, truth)
    probabilities = model.predict_proba(_size_features(test_sizes, "test_sizes"))[:, 1]
    return _scored(test_labels, probabilities)


def majority(train_labels: npt.ArrayLike, test_labels: npt.ArrayLike) -> Baseline:
    """Give every lesion the training part's share of malignant ones.

    So each is called the training part's commoner class (benign at a tie). The AUC is 0.5 and has
    no interval, as all probabilities are equal.

    Args:
        train_labels: 0 benign, 1 malignant; shape (n,).
        test_labels: shape (m,).

    Raises:
        UserError: a shape or a value is wrong.
    """
    truth = _training_labels(train_labels, None)
    share = float(np.mean(truth))
    return _scored(test_labels, np.full(np.shape(test_labels), share))


def _scored(labels: npt.ArrayLike, probabilities: npt.NDArray[np.float64]) -> Baseline:
    return Baseline(
        auc=auc(labels, probabilities),
        auc_interval=auc_interval(labels, probabilities),
        accuracy=Confusion.from_predictions(labels, probabilities).accuracy,
    )


def _size_features(sizes: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """(n, 2) pixels -> (n, 3) logs; as logs, a crop twice as wide differs alike at any width."""
    pixels = np.asarray(sizes, dtype=np.float64)
    if pixels.ndim != 2 or pixels.shape[1] != 2:
        raise UserError(f"{name} has shape {pixels.shape}: expected (n, 2), width and height")
    if not (np.isfinite(pixels) & (pixels > 0)).all():
        raise UserError(f"{name} holds a size that is not above 0: expected pixels of real crops")
    logs = np.log(pixels)
    return np.column_stack([logs, logs.sum(axis=1)])


def _training_labels(labels: npt.ArrayLike, n: int | None) -> npt.NDArray[np.int64]:
    truth = np.asarray(labels)
    if truth.ndim != 1 or truth.size == 0 or (n is not None and truth.size != n):
        expected = "(n,) with at least one label" if n is None else f"({n},), one label a crop"
        raise UserError(f"train_labels has shape {truth.shape}: expected {expected}")
    if not np.isin(truth, (0, 1)).all():
        raise UserError("train_labels holds other values than 0 (benign) and 1 (malignant)")
    return truth.astype(np.int64)
