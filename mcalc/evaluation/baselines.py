"""What can be scored without looking at a pixel: the bar that a trained network has to clear.

In CBIS-DDSM the size of a crop alone tells malignant from benign with an AUC of about 0.70,
because TCIA cut each crop to its lesion. What the radiologist wrote down tells more still, and the
BI-RADS assessment, a judgement of how suspicious a lesion is, most of all. A result without those
numbers beside it says little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcalc.config.schema import UnitScore
from mcalc.data.records import Lesion
from mcalc.data.splits.samples import Sample
from mcalc.data.splits.units import by_unit
from mcalc.errors import UserError
from mcalc.evaluation.metrics import Confusion, Interval, auc, auc_interval


@dataclass(frozen=True, slots=True)
class Baseline:
    """Scores of a baseline on the reported set."""

    auc: float
    """0..1; nan where the reported set holds one class."""
    auc_interval: Interval
    """95 %, DeLong; (nan, nan) where undefined (`mcalc.evaluation.metrics.auc_interval`)."""
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
    return _scored(test_labels, _size_probabilities(train_sizes, train_labels, test_sizes))


def descriptors_only(
    train: Sequence[Lesion], test: Sequence[Lesion], with_assessment: bool
) -> Baseline | None:
    """Logistic regression on what the radiologist wrote down, one-hot, with scikit-learn's L2.

    Calcification types, distributions, breast density and subtlety; the BI-RADS assessment too
    where asked for. What is not known of a lesion is a value of its own.

    Returns:
        None where no lesion of `train` is described (or none is assessed, `with_assessment`).

    Raises:
        UserError: `test` is empty, or `train` holds one class only.
    """
    probabilities = _descriptor_probabilities(train, test, with_assessment)
    if probabilities is None:
        return None
    return _scored([lesion.label for lesion in test], probabilities)


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


def split_baselines(
    lesions: Sequence[Lesion],
    sizes: npt.ArrayLike,
    train: Sequence[Sample],
    reported: Sequence[Sample],
    unit_score: UnitScore,
) -> dict[str, float]:
    """Every baseline of one split, scored on the units that a network is scored on.

    Each is fitted on the lesions of the training samples, every one once whatever its copies, and
    says a probability of each lesion that a reported sample shows; a unit's comes from those of its
    lesions as a network's comes from its images.

    Args:
        lesions: of the data set.
        sizes: width and height of each lesion's crop, pixels; shape (n, 2). Not above 0 where it is
            not known: such lesions are not fitted, score the training part's share of malignant
            ones, and are counted.
        train: samples trained on.
        reported: samples reported.
        unit_score: how a unit's probability comes from several.

    Returns:
        `NAME_auc`, `NAME_auc_low`, `NAME_auc_high` and `NAME_accuracy` for `size`, `descriptors`
        and `descriptors_assessment`, each only where the data has what it needs;
        `majority_accuracy` (naming the training part's commoner class); `size_unknown`, the
        reported lesions without a size, where there are any. nan where undefined.

    Raises:
        UserError: the training part holds one class only.
    """
    fitted = sorted({i for sample in train for i in sample.lesions})
    shown = [(i, sample.unit) for sample in reported for i in sample.lesions]
    tested = [i for i, _ in shown]
    units = [unit for _, unit in shown]
    train_labels = np.array([lesions[i].label for i in fitted])
    test_labels = np.array([lesions[i].label for i in tested])
    share = float(train_labels.mean())

    def scored(probabilities: npt.NDArray[np.float64]) -> Baseline:
        whole = by_unit(units, test_labels, probabilities, unit_score)
        return _scored(whole.labels, whole.probabilities)

    found = {"majority_accuracy": scored(np.full(len(tested), share)).accuracy}
    pixels = np.asarray(sizes)
    known: npt.NDArray[np.bool_] = np.all(pixels > 0, axis=1)
    with_size = [i for i in fitted if known[i]]
    here = known[tested]
    if here.any() and len({lesions[i].label for i in with_size}) == 2:
        guess = np.full(len(tested), share)
        guess[here] = _size_probabilities(
            pixels[with_size], [lesions[i].label for i in with_size], pixels[tested][here]
        )
        found |= _metrics("size", scored(guess))
        if not here.all():
            found["size_unknown"] = float(np.sum(~here))
    for name, with_assessment in (("descriptors", False), ("descriptors_assessment", True)):
        described = _descriptor_probabilities(
            [lesions[i] for i in fitted], [lesions[i] for i in tested], with_assessment
        )
        if described is not None:
            found |= _metrics(name, scored(described))
    return found


def _metrics(name: str, baseline: Baseline) -> Mapping[str, float]:
    return {
        f"{name}_auc": baseline.auc,
        f"{name}_auc_low": baseline.auc_interval[0],
        f"{name}_auc_high": baseline.auc_interval[1],
        f"{name}_accuracy": baseline.accuracy,
    }


def _size_probabilities(
    train_sizes: npt.ArrayLike, train_labels: npt.ArrayLike, test_sizes: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Probability of malignant of each test size; shape (m,)."""
    features = _size_features(train_sizes, "train_sizes")
    truth = _two_classes(train_labels, features.shape[0], "size")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, truth)
    probabilities: npt.NDArray[np.float64] = model.predict_proba(
        _size_features(test_sizes, "test_sizes")
    )[:, 1]
    return probabilities


def _descriptor_probabilities(
    train: Sequence[Lesion], test: Sequence[Lesion], with_assessment: bool
) -> npt.NDArray[np.float64] | None:
    """Probability of malignant of each test lesion; None where nothing is known to fit."""
    needed = _is_assessed if with_assessment else _is_described
    if not any(needed(lesion) for lesion in train):
        return None
    truth = _two_classes([lesion.label for lesion in train], len(train), "descriptors")
    model = make_pipeline(DictVectorizer(sparse=False), LogisticRegression(max_iter=1000))
    model.fit([_described(lesion, with_assessment) for lesion in train], truth)
    probabilities: npt.NDArray[np.float64] = model.predict_proba(
        [_described(lesion, with_assessment) for lesion in test]
    )[:, 1]
    return probabilities


def _described(lesion: Lesion, with_assessment: bool) -> dict[str, int]:
    """One-hot features by name; a value that is not known is one too."""
    words = [f"type {word}" for word in lesion.calc_types or ("unknown",)]
    words += [f"distribution {word}" for word in lesion.calc_distributions or ("unknown",)]
    words += [f"density {lesion.density}", f"subtlety {lesion.subtlety}"]
    if with_assessment:
        words.append(f"assessment {lesion.assessment}")
    return dict.fromkeys(words, 1)


def _is_described(lesion: Lesion) -> bool:
    numbers = (lesion.density, lesion.subtlety)
    return bool(lesion.calc_types or lesion.calc_distributions) or any(
        number is not None for number in numbers
    )


def _is_assessed(lesion: Lesion) -> bool:
    return lesion.assessment is not None


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


def _two_classes(labels: npt.ArrayLike, n: int, baseline: str) -> npt.NDArray[np.int64]:
    truth = _training_labels(labels, n)
    if np.unique(truth).size < 2:
        raise UserError(
            f"train_labels holds one class only: the {baseline} baseline needs benign and "
            "malignant lesions in the training part; use more lesions or another split seed"
        )
    return truth


def _training_labels(labels: npt.ArrayLike, n: int | None) -> npt.NDArray[np.int64]:
    truth = np.asarray(labels)
    if truth.ndim != 1 or truth.size == 0 or (n is not None and truth.size != n):
        expected = "(n,) with at least one label" if n is None else f"({n},), one label a crop"
        raise UserError(f"train_labels has shape {truth.shape}: expected {expected}")
    if not np.isin(truth, (0, 1)).all():
        raise UserError("train_labels holds other values than 0 (benign) and 1 (malignant)")
    return truth.astype(np.int64)
