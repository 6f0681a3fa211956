"""Configurations repeated over seeds or folds: differences within blocks, and stable ranks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import friedmanchisquare, rankdata

from mcalc.evaluation.paired import Difference, tested


def blocked_difference(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], overlap: float = 0.0
) -> Difference:
    """Mean difference over blocks (seeds, folds) that both have, with Student's t.

    Where blocks are trained on overlapping lesions their results are not independent. The variance
    of the mean is then that of J independent ones times 1 + J `overlap`.

    Source: C. Nadeau and Y. Bengio, Machine Learning 52 (2003) 239.

    Args:
        first: score of each block; shape (J,).
        second: the same of the other configuration, in the same order.
        overlap: lesions tested by lesions trained on, where blocks are splits of the same lesions;
            0 where they differ in nothing but chance in training.
    """
    each = first - second
    j = each.size
    value = float(each.mean()) if j else math.nan
    variance = float(each.var(ddof=1)) * (1 / j + overlap) if j > 1 else math.nan
    return tested(value, variance, j - 1)


def rank_stability(
    scores: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Ranks of configurations within blocks, and how far blocks agree.

    Args:
        scores: the larger the better; shape (blocks, configurations).

    Returns:
        Ranks (blocks, configurations), 1 the best, ties shared; Kendall's W, 0 (none agree) to 1;
        Friedman's p of no difference between configurations. nan with fewer than two blocks or
        three configurations, for which neither is defined.
    """
    ranks: npt.NDArray[np.float64] = rankdata(-scores, axis=1)
    blocks, count = scores.shape
    if blocks < 2 or count < 3 or np.all(ranks == ranks[:, :1]):
        return ranks, math.nan, math.nan
    statistic, p = friedmanchisquare(*scores.T)
    return ranks, float(statistic / (blocks * (count - 1))), float(p)
