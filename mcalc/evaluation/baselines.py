"""What can be scored without looking at a pixel: the bar that a trained network has to clear.

In CBIS-DDSM the size of a crop alone tells malignant from benign with an AUC of about 0.70,
because TCIA cut each crop to its lesion. What the radiologist wrote down tells more still, and the
BI-RADS assessment, a judgement of how suspicious a lesion is, most of all. A result without those
numbers beside it says little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcalc.config import UnitScore
from mcalc.data import Lesion
from mcalc.data.splits import Sample, by_unit
from mcalc.evaluation.metrics import Confusion, auc, auc_interval


def split_baselines(
    lesions: Sequence[Lesion],
    sizes: npt.ArrayLike,
    train: Sequence[Sample],
    reported: Sequence[Sample],
    unit_score: UnitScore,
) -> dict[str, float]:
    """Every baseline of one split, scored on the units that a network is scored on.

    Each is fitted on the lesions of the training samples, each lesion once, however many copies it
    has. It then gives every lesion on a reported sample a probability of malignant. The probability
    of a scoring unit is the mean or the largest of its lesions', as `unit_score` says.

    Args:
        lesions: of the data set.
        sizes: width and height of each lesion's crop, pixels; shape (n, 2). Not above 0 where it is
            not known. Such lesions are not fitted; their probability is the share of malignant
            training lesions, and they are counted.
        train: samples trained on.
        reported: samples reported.
        unit_score: how a unit's probability comes from several.

    Returns:
        `NAME_auc`, `NAME_auc_low`, `NAME_auc_high` and `NAME_accuracy` for `size`, `descriptors`
        and `descriptors_assessment`, each only where the data has what it needs;
        `majority_accuracy` (naming the training part's commoner class); `size_unknown`, the
        reported lesions without a size, where there are any. nan where undefined.
    """
    fitted = sorted({i for sample in train for i in sample.lesions})
    shown = [(i, sample.unit) for sample in reported for i in sample.lesions]
    tested = [i for i, _ in shown]
    units = [unit for _, unit in shown]
    train_labels = np.array([lesions[i].label for i in fitted])
    test_labels = np.array([lesions[i].label for i in tested])
    share = float(train_labels.mean())

    def scored(name: str, probabilities: npt.NDArray[np.float64]) -> dict[str, float]:
        whole = by_unit(units, test_labels, probabilities, unit_score)
        return _metrics(name, whole.labels, whole.probabilities)

    majority = scored("majority", np.full(len(tested), share))
    found = {"majority_accuracy": majority["majority_accuracy"]}
    pixels = np.asarray(sizes)
    known: npt.NDArray[np.bool_] = np.all(pixels > 0, axis=1)
    with_size = [i for i in fitted if known[i]]
    here = known[tested]
    if here.any() and len({lesions[i].label for i in with_size}) == 2:
        guess = np.full(len(tested), share)
        guess[here] = _size_probabilities(
            pixels[with_size], [lesions[i].label for i in with_size], pixels[tested][here]
        )
        found |= scored("size", guess)
        if not here.all():
            found["size_unknown"] = float(np.sum(~here))
    for name, with_assessment in (("descriptors", False), ("descriptors_assessment", True)):
        described = _descriptor_probabilities(
            [lesions[i] for i in fitted], [lesions[i] for i in tested], with_assessment
        )
        if described is not None:
            found |= scored(name, described)
    return found


def _metrics(
    name: str, labels: npt.ArrayLike, probabilities: npt.NDArray[np.float64]
) -> dict[str, float]:
    low, high = auc_interval(labels, probabilities)
    return {
        f"{name}_auc": auc(labels, probabilities),
        f"{name}_auc_low": low,
        f"{name}_auc_high": high,
        f"{name}_accuracy": Confusion.from_predictions(labels, probabilities).accuracy,
    }


def _size_probabilities(
    train_sizes: npt.NDArray[np.int64], train_labels: Sequence[int], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Probability of malignant of each crop of these sizes; shape (m,).

    Logistic regression on log width, log height and log area, standardised. scikit-learn's default
    L2 penalty also settles that log area is the sum of the other two. Sizes: (n, 2), pixels > 0.
    """
    known, asked = _size_features(train_sizes), _size_features(sizes)
    return _regression(StandardScaler(), known, train_labels, asked)


def _descriptor_probabilities(
    train: Sequence[Lesion], test: Sequence[Lesion], with_assessment: bool
) -> npt.NDArray[np.float64] | None:
    """Probability of malignant of each test lesion; None where nothing is known to fit.

    Logistic regression on one-hot calcification types, distributions, breast density and subtlety,
    and the BI-RADS assessment where asked for, with scikit-learn's default L2 penalty.
    """
    if not any(_is_assessed(each) if with_assessment else _is_described(each) for each in train):
        return None
    known, asked = ([_described(each, with_assessment) for each in part] for part in (train, test))
    return _regression(DictVectorizer(sparse=False), known, [each.label for each in train], asked)


def _regression(
    features: BaseEstimator, known: Any, labels: Sequence[int], asked: Any
) -> npt.NDArray[np.float64]:
    """Probability of malignant of what is asked, by a logistic regression on what is known."""
    model = make_pipeline(features, LogisticRegression(max_iter=1000)).fit(known, labels)
    probabilities: npt.NDArray[np.float64] = model.predict_proba(asked)[:, 1]
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
    numbers_known = lesion.density is not None or lesion.subtlety is not None
    return numbers_known or bool(lesion.calc_types or lesion.calc_distributions)


def _is_assessed(lesion: Lesion) -> bool:
    return lesion.assessment is not None


def _size_features(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(n, 2) pixels -> (n, 3) logs; as logs, a crop twice as wide differs alike at any width."""
    logs = np.log(sizes.astype(np.float64))
    return np.column_stack([logs, logs.sum(axis=1)])
