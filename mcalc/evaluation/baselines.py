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
from mcalc.results import Predictions

SCORERS = ("majority", "size", "descriptors", "descriptors_assessment")
"""Names of the baselines: naming the training part's commoner class, and three regressions."""


def split_baselines(
    lesions: Sequence[Lesion],
    sizes: npt.ArrayLike,
    train: Sequence[Sample],
    reported: Sequence[Sample],
    unit_score: UnitScore,
) -> dict[str, float]:
    """Every baseline of one split, scored on the units that a network is scored on.

    The probability of a scoring unit is the mean or the largest of its lesions', as `unit_score`
    says.

    Args:
        lesions: of the data set.
        sizes: as `lesion_probabilities`.
        train: samples trained on.
        reported: samples reported.
        unit_score: how a unit's probability comes from several.

    Returns:
        `NAME_auc`, `NAME_auc_low`, `NAME_auc_high` and `NAME_accuracy` for `size`, `descriptors`
        and `descriptors_assessment`, each only where the data has what it needs; intervals are
        clustered by patient. `majority_accuracy`; `size_unknown`, the reported lesions without a
        size, where there are any. nan where undefined.
    """
    shown = [(i, sample) for sample in reported for i in sample.lesions]
    asked = [i for i, _ in shown]
    units = [sample.unit for _, sample in shown]
    patients = [sample.patient for _, sample in shown]
    labels = np.array([lesions[i].label for i in asked])
    found: dict[str, float] = {}
    for name, guess in lesion_probabilities(lesions, sizes, train, asked).items():
        whole = by_unit(units, labels, guess, unit_score, patients)
        scores = _metrics(name, whole)
        found |= {k: v for k, v in scores.items() if name != "majority" or k.endswith("accuracy")}
    unknown = int(np.sum(~_has_size(sizes)[asked]))
    if unknown and "size_auc" in found:
        found["size_unknown"] = float(unknown)
    return found


def lesion_probabilities(
    lesions: Sequence[Lesion], sizes: npt.ArrayLike, train: Sequence[Sample], asked: Sequence[int]
) -> dict[str, npt.NDArray[np.float64]]:
    """Probability of malignant of lesions by each baseline, which is fitted on the training part.

    There each lesion counts once, however many copies it has.

    Args:
        lesions: of the data set.
        sizes: width and height of each lesion's crop, pixels; shape (n, 2). Not above 0 where it is
            not known. Such lesions are not fitted; their probability is the share of malignant
            training lesions.
        train: samples trained on.
        asked: positions in `lesions`, in any order, repeated or not.

    Returns:
        Entry of `SCORERS` -> probabilities, shape (len(asked),); only those that the data has what
        they need for. That of `majority` is the share of malignant training lesions.
    """
    fitted = sorted({i for sample in train for i in sample.lesions})
    share = float(np.mean([lesions[i].label for i in fitted]))
    found = {"majority": np.full(len(asked), share)}
    pixels, known = np.asarray(sizes), _has_size(sizes)
    with_size = [i for i in fitted if known[i]]
    here = known[list(asked)]
    if here.any() and len({lesions[i].label for i in with_size}) == 2:
        guess = np.full(len(asked), share)
        guess[here] = _size_probabilities(
            pixels[with_size], [lesions[i].label for i in with_size], pixels[list(asked)][here]
        )
        found["size"] = guess
    for name, with_assessment in (("descriptors", False), ("descriptors_assessment", True)):
        described = _descriptor_probabilities(
            [lesions[i] for i in fitted], [lesions[i] for i in asked], with_assessment
        )
        if described is not None:
            found[name] = described
    return found


def _has_size(sizes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = np.all(np.asarray(sizes) > 0, axis=1)
    return known


def _metrics(name: str, scored: Predictions) -> dict[str, float]:
    labels, probabilities = scored.labels, scored.probabilities
    low, high = auc_interval(labels, probabilities, scored.patients)
    return {
        f"{name}_auc": auc(labels, probabilities),
        f"{name}_auc_low": low,
        f"{name}_auc_high": high,
        f"{name}_accuracy": Confusion.of(scored).accuracy,
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
