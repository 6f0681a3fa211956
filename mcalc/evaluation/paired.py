"""Two scorers of the same lesions compared, and shares of different lesions.

Intervals that overlap say nothing about a difference of two scorers of the same lesions: what both
find hard makes both vary together. Here the variance is that of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, t

from mcalc.evaluation.clustered import (
    LEVEL,
    Interval,
    Patients,
    areas,
    jackknife_variance,
    patient_numbers,
)


@dataclass(frozen=True)
class Difference:
    """First less second."""

    value: float
    low: float
    high: float
    """95 %; nan where there is no variance, as between equal predictions."""
    p: float
    """Two-sided probability of as large a difference where there is none; 1 between equal
    predictions, nan where it is not defined."""


def auc_differences(
    labels: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    patients: Patients,
    pairs: Sequence[tuple[int, int]],
) -> list[Difference]:
    """Differences of the AUCs of scorers of the same lesions, paired and clustered by patient.

    Obuchowski's covariance (`mcalc.evaluation.clustered.areas`), Student's t.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        scores: the larger, the more malignant; shape (k, n).
        patients: of each lesion.
        pairs: rows of `scores` to compare.
    """
    found = areas(labels, scores, patients)
    differences = []
    for one, other in pairs:
        value = float(found.values[one] - found.values[other])
        variance = (
            found.covariance[one, one]
            + found.covariance[other, other]
            - 2 * found.covariance[one, other]
        )
        # what rounding leaves of two equal scorers is none
        same = bool(np.array_equal(scores[one], scores[other]))
        weights = np.zeros(len(scores))
        weights[one], weights[other] = 1, -1
        freedom = found.freedom([*weights])
        differences.append(tested(value, 0.0 if same else float(variance), freedom))
    return differences


def rate_difference(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], patients: Patients
) -> Difference:
    """Difference of the shares of hits of two scorers among the same lesions, clustered by patient.

    The variance is the jackknife's, which omits a patient at a time.

    Args:
        first: of each lesion that counts, whether the first scorer hits it; shape (n,).
        second: the same of the other.
        patients: of each of these lesions.
    """
    n = first.size
    if not n:
        return Difference(math.nan, math.nan, math.nan, math.nan)
    each = first.astype(np.float64) - second
    numbers = patient_numbers(patients, n)
    variance = 0.0 if np.array_equal(first, second) else jackknife_variance(each, numbers)
    return tested(float(each.mean()), variance, int(numbers.max()))


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """McNemar's exact two-sided p, of lesions that one scorer alone decides rightly; shape (n,).

    Source: Q. McNemar, Psychometrika 12 (1947) 153, with the binomial distribution. It takes
    lesions as independent; `rate_difference` does not.
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    if not only_first + only_second:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number; those that are nan stay so and are not counted.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65.
    """
    known = [place for place, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(known, key=lambda each: p_values[each])):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def shares_difference(
    share: float, interval: Interval, other: float, other_interval: Interval
) -> Interval:
    """95 % interval of a share less another of different lesions, from the interval of each.

    Source: method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 873.

    Args:
        share: 0..1.
        interval: of it, as `clustered.rate_interval`.
        other: 0..1.
        other_interval: of it.
    """
    (low, high), (other_low, other_high) = interval, other_interval
    value = share - other
    return (
        value - math.hypot(share - low, other_high - other),
        value + math.hypot(high - share, other - other_low),
    )


def tested(value: float, variance: float, freedom: float) -> Difference:
    """A difference of two shares or AUCs with its interval and p, by Student's t.

    Without a variance there is neither; a difference of 0 that has none is that of equal scorers.
    """
    if variance == 0 and value == 0:
        return Difference(value, math.nan, math.nan, 1.0)
    if not variance > 0 or freedom < 1:
        return Difference(value, math.nan, math.nan, math.nan)
    error = math.sqrt(variance)
    spread = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    # shares differ by 1 at most
    low, high = max(-1.0, value - spread), min(1.0, value + spread)
    return Difference(value, low, high, float(2 * t.sf(abs(value) / error, freedom)))
