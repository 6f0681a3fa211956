"""From scores of images to scores of scoring units: lesion, finding, image, breast or patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mcalc.config import UnitScore
from mcalc.data.splits.samples import MALIGNANT, Sample
from mcalc.iteration import grouped
from mcalc.results import Predictions


def by_unit(
    units: Sequence[str],
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    how: UnitScore,
    patients: Sequence[str] = (),
) -> Predictions:
    """One prediction for each scoring unit, in order of appearance.

    Args:
        units: of each entry, the id of its scoring unit.
        labels: 0 benign, 1 malignant; shape (n,). A unit is malignant where any entry of it is.
        probabilities: of malignant, 0..1; shape (n,).
        how: whether a unit's probability is the mean or the largest of its entries'.
        patients: of each entry; a unit is of one patient. May be empty.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    members = grouped(range(len(units)), units.__getitem__)
    joint = np.mean if how is UnitScore.mean else np.max
    return Predictions(
        tuple(members),
        np.array([truth[entries].max() for entries in members.values()], dtype=np.int64),
        np.array([joint(scores[entries]) for entries in members.values()], dtype=np.float64),
        tuple(patients[entries[0]] for entries in members.values()) if patients else (),
    )


def score_units(predictions: Predictions, samples: Sequence[Sample], how: UnitScore) -> Predictions:
    """Predictions by scoring unit, from predictions of samples (by their ids).

    With patients, and with the log odds of malignant where logits are known.
    """
    by_id = {sample.id: sample for sample in samples}
    units = [by_id[name].unit for name in predictions.ids]
    patients = [by_id[name].patient for name in predictions.ids]
    scored = by_unit(units, predictions.labels, predictions.probabilities, how, patients)
    if predictions.logits is None:
        return scored
    odds = log_odds(predictions.logits)
    members = grouped(range(len(units)), units.__getitem__).values()
    joint = np.array([_joint_log_odds(odds[entries], how) for entries in members])
    return Predictions(
        scored.ids, scored.labels, scored.probabilities, scored.patients, joint[:, None]
    )


def log_odds(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log odds of malignant, (n,), from the logits of every class, (n, classes).

    At full precision where the probability is 0 or 1 by rounding. One column is taken as it is.
    """
    if logits.shape[1] == 1:
        return logits[:, 0]
    from scipy.special import logsumexp  # late: a plan has no logits

    others = np.delete(logits, MALIGNANT, axis=1)
    found: npt.NDArray[np.float64] = logits[:, MALIGNANT] - logsumexp(others, axis=1)
    return found


def _joint_log_odds(odds: npt.NDArray[np.float64], how: UnitScore) -> float:
    """Log odds of the mean, or of the largest, of probabilities that have these log odds."""
    if odds.size == 1 or how is UnitScore.max:
        return float(odds.max())
    from scipy.special import log_expit, logsumexp

    # their common divisor cancels
    return float(logsumexp(log_expit(odds)) - logsumexp(log_expit(-odds)))
