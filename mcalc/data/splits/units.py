"""From scores of images to scores of scoring units: the lesion, image, breast or patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mcalc.config import UnitScore
from mcalc.data.splits.samples import Sample
from mcalc.iteration import grouped
from mcalc.results import Predictions


def by_unit(
    units: Sequence[str], labels: npt.ArrayLike, probabilities: npt.ArrayLike, how: UnitScore
) -> Predictions:
    """One prediction for each scoring unit, in order of appearance.

    Args:
        units: of each entry, the id of its scoring unit.
        labels: 0 benign, 1 malignant; shape (n,). A unit is malignant where any entry of it is.
        probabilities: of malignant, 0..1; shape (n,).
        how: whether a unit's probability is the mean or the largest of its entries'.
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(probabilities, dtype=np.float64)
    members = grouped(range(len(units)), units.__getitem__)
    joint = np.mean if how is UnitScore.mean else np.max
    return Predictions(
        tuple(members),
        np.array([truth[entries].max() for entries in members.values()], dtype=np.int64),
        np.array([joint(scores[entries]) for entries in members.values()], dtype=np.float64),
    )


def score_units(predictions: Predictions, samples: Sequence[Sample], how: UnitScore) -> Predictions:
    """Predictions by scoring unit, from predictions of samples (by their ids)."""
    unit_of = {sample.id: sample.unit for sample in samples}
    units = [unit_of[name] for name in predictions.ids]
    return by_unit(units, predictions.labels, predictions.probabilities, how)
