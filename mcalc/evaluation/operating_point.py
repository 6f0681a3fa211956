"""Where malignant begins: a threshold fixed on one set of lesions, to be used on others.

On the lesions that it was chosen on, a threshold looks better than it is. So it is chosen on those
that stopped training, and only where they are not reported.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

SENSITIVITY = 0.90
"""Least sensitivity of `Choice.sensitivity`."""


class Choice(StrEnum):
    """How a threshold is chosen."""

    youden = "youden"
    """The largest sum of sensitivity and specificity (W. J. Youden, Cancer 3 (1950) 32)."""
    sensitivity = "sensitivity"
    """The largest specificity at a sensitivity of at least `SENSITIVITY`."""


def choose_threshold(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], choice: Choice
) -> float:
    """A score above which lesions are called malignant.

    Half way between the least score that is called malignant and the next below it, so that
    rounding decides nothing. Of several that are as good, the one of the highest sensitivity.

    Args:
        labels: 0 benign, 1 malignant; shape (n,), both present.
        scores: the larger, the more malignant; shape (n,).
        choice: what is wanted of it.

    Returns:
        -inf where everything has to be called malignant.
    """
    false, true, at = roc_curve(labels, scores, drop_intermediate=False)
    if choice is Choice.youden:
        value = true - false
        # rounding must not tell equal ones apart
        best = int(np.flatnonzero(np.isclose(value, value.max(), rtol=0, atol=1e-12))[-1])
    else:
        best = int(np.flatnonzero(true >= SENSITIVITY - 1e-12)[0])
        best = int(np.flatnonzero(false == false[best])[-1])
    below = scores[scores < at[best]]
    if not np.isfinite(at[best]):
        return float(np.inf)
    return float((at[best] + below.max()) / 2) if below.size else -np.inf


def sensitivity_at(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], specificity: float
) -> float:
    """The largest share of malignant lesions found where that of benign ones left alone is so high.

    Of thresholds that exist; nothing is interpolated between them.

    Args:
        labels: 0 benign, 1 malignant; shape (n,), both present.
        scores: the larger, the more malignant; shape (n,).
        specificity: 0..1.
    """
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(true[1 - false >= specificity - 1e-12].max())
