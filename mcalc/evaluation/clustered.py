"""Uncertainty where several lesions are one patient's: they are not independent of each other.

What is estimated is as ever; its variance comes from sums over patients. Where every lesion is its
own patient, each result is the known one for independent lesions: DeLong's variance, Wilson's
interval. Coverage is shown by simulation (tests/evaluation/test_coverage.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, t

from mcalc.errors import UserError

Interval = tuple[float, float]
"""Lower and upper bound; (nan, nan) where it is undefined."""
Patients = Sequence[str] | npt.NDArray[np.generic] | None
"""Of each lesion its patient; None takes every lesion for a patient of its own."""
LEVEL = 0.95
"""Coverage of intervals where none is named."""
UNDEFINED = (math.nan, math.nan)


@dataclass(frozen=True)
class Areas:
    """AUCs of several scorers of the same lesions, and how they vary together."""

    values: npt.NDArray[np.float64]
    """(k,), 0..1; nan where a class is absent."""
    covariance: npt.NDArray[np.float64]
    """(k, k); nan where it is not defined: fewer than two patients with lesions of a class."""
    influence: npt.NDArray[np.float64]
    """(k, patients): by how much each patient's lesions move an AUC."""
    patients: int
    """Patients with lesions of the class that fewer patients have."""

    def freedom(self, weights: Sequence[float]) -> float:
        """Degrees of freedom of the variance of a weighted sum of the AUCs.

        Satterthwaite's, from how unequal the patients' influence is, and at most `patients` less
        one. Source: F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110.
        """
        return min(self.patients - 1.0, _satterthwaite(np.asarray(weights) @ self.influence))


def patient_numbers(patients: Patients, n: int) -> npt.NDArray[np.intp]:
    """Patients as 0, 1, ... in the order of their names; shape (n,).

    Raises UserError unless there is one for each of the `n` lesions.
    """
    if patients is None:
        return np.arange(n)
    names = np.asarray(patients)
    if names.shape != (n,):
        raise UserError(f"patients has shape {names.shape}: expected one for each of {n} lesions")
    numbers: npt.NDArray[np.intp] = np.unique(names, return_inverse=True)[1]
    return numbers


def areas(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], patients: Patients = None
) -> Areas:
    """AUCs of scorers with their covariance, clustered by patient.

    Source: N. A. Obuchowski, Biometrics 53 (1997) 567. With one lesion a patient it is that of
    E. R. DeLong et al., Biometrics 44 (1988) 837.

    Args:
        labels: 0 benign, 1 malignant; shape (n,).
        scores: the larger, the more malignant; shape (k, n).
        patients: of each lesion; a patient may have lesions of both classes.
    """
    numbers = patient_numbers(patients, labels.size)
    malignant = labels == 1
    count = int(numbers.max()) + 1
    positives, negatives = int(malignant.sum()), int((~malignant).sum())
    k = len(scores)
    if not positives or not negatives:
        return Areas(np.full(k, math.nan), np.full((k, k), math.nan), np.zeros((k, count)), 0)
    placed = [placements(labels, each) for each in scores]
    values = np.array([above.mean() for above, _ in placed])
    # of each scorer the sums over patients of what its lesions differ from the mean
    of_malignant = np.array(
        [np.bincount(numbers[malignant], above - above.mean(), count) for above, _ in placed]
    )
    of_benign = np.array(
        [np.bincount(numbers[~malignant], below - below.mean(), count) for _, below in placed]
    )
    with_malignant = len(np.unique(numbers[malignant]))
    with_benign = len(np.unique(numbers[~malignant]))
    influence = of_malignant / positives + of_benign / negatives
    fewer = min(with_malignant, with_benign)
    if fewer < 2:
        return Areas(values, np.full((k, k), math.nan), influence, fewer)
    both = len(np.unique(numbers))
    mixed = of_malignant @ of_benign.T
    covariance = (
        with_malignant / (with_malignant - 1) * (of_malignant @ of_malignant.T) / positives**2
        + with_benign / (with_benign - 1) * (of_benign @ of_benign.T) / negatives**2
        + both / (both - 1) * (mixed + mixed.T) / (positives * negatives)
    )
    return Areas(values, covariance, influence, fewer)


def area_interval(area: float, variance: float, freedom: float, level: float = LEVEL) -> Interval:
    """Interval of an AUC: Student's t on the logit scale, so that it stays within 0..1.

    About an area near 1, the interval that is symmetric on the plain scale covers less than it
    says. (nan, nan) without a variance, and at 0 or 1, where a width of 0 would read as certainty.
    """
    if not (0 < area < 1 and variance > 0 and freedom > 0):
        return UNDEFINED
    middle = math.log(area / (1 - area))
    spread = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance) / (area * (1 - area))
    return _logistic(middle - spread), _logistic(middle + spread)


def rate_interval(
    hits: npt.NDArray[np.bool_], patients: Patients = None, level: float = LEVEL
) -> Interval:
    """Wilson's interval of a proportion, of as many independent lesions as those here are worth.

    The design effect (`design_effect`) divides n. Its bounds are those of Student's t, with the
    patients less one as degrees of freedom; of lesions that are their own patients, Wilson's.

    Args:
        hits: of each lesion that counts, whether it is one; shape (n,).
        patients: of each of them.
        level: coverage, above 0 and below 1.

    Returns:
        Bounds in 0..1, never of zero width; (nan, nan) for n = 0.
    """
    if not hits.size:
        return UNDEFINED
    share = float(hits.mean())
    effect = design_effect(hits, patients)
    clusters = len(np.unique(patient_numbers(patients, hits.size)))
    # what is estimated, the design effect, has an error of its own
    freedom = math.inf if clusters == hits.size else max(1, clusters - 1)
    return wilson(share, hits.size / effect, level, freedom)


def mean_interval(
    values: npt.NDArray[np.float64], patients: Patients = None, level: float = LEVEL
) -> Interval:
    """Interval of a mean, by Student's t and the jackknife over patients.

    Args:
        values: of each lesion; shape (n,).
        patients: of each lesion.
        level: coverage, above 0 and below 1.

    Returns:
        (nan, nan) for fewer than two patients, and where all values are equal: a width of 0 would
        read as certainty.
    """
    numbers = patient_numbers(patients, values.size)
    variance = jackknife_variance(values, numbers) if values.size else math.nan
    if not variance > 0:
        return UNDEFINED
    spread = float(t.ppf((1 + level) / 2, int(numbers.max()))) * math.sqrt(variance)
    middle = float(values.mean())
    return middle - spread, middle + spread


def design_effect(hits: npt.NDArray[np.bool_], patients: Patients = None) -> float:
    """By how much clustering multiplies the variance of a proportion.

    The jackknife's variance, which omits a patient at a time, by that of independent lesions. It
    is at least 1, and exactly that where every lesion is its own patient.

    Few misses, or few hits, show little of how alike a patient's lesions are. The effect is then
    drawn towards that of lesions that always agree within a patient. It is the mean of both, with
    the weights k and 1, where k patients have any of the rarer outcome.
    """
    n = hits.size
    numbers = patient_numbers(patients, n)
    sizes = np.bincount(numbers)
    count = int(np.count_nonzero(sizes))
    share = float(hits.mean())
    if count == n:
        return 1.0
    wholly_alike = float(sizes @ sizes) / n
    if share in (0.0, 1.0) or count < 2:
        return wholly_alike
    independent = share * (1 - share) / (n - 1)
    found = max(1.0, jackknife_variance(hits.astype(np.float64), numbers) / independent)
    rarer = hits if share < 0.5 else ~hits
    k = len(np.unique(numbers[rarer]))
    return (k * found + wholly_alike) / (k + 1)


def jackknife_variance(values: npt.NDArray[np.float64], numbers: npt.NDArray[np.intp]) -> float:
    """Variance of a mean of lesions, from the means without one patient each.

    Source: B. Efron, The Jackknife (1982), chapter 3.

    Args:
        values: of each lesion; shape (n,).
        numbers: of each lesion its patient, 0, 1, ... (`patient_numbers`).

    Returns:
        nan for a single patient.
    """
    sizes = np.bincount(numbers)
    if sizes.size < 2:
        return math.nan
    # without a patient the mean differs from the whole one by this
    omitted = np.bincount(numbers, values - values.mean()) / (values.size - sizes)
    return (sizes.size - 1) / sizes.size * float(omitted @ omitted)


def wilson(share: float, n: float, level: float = LEVEL, freedom: float = math.inf) -> Interval:
    """Wilson's score interval of a proportion `share` of `n` trials, which need not be whole.

    With `freedom`, bounds of Student's t in place of the normal's.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. For whole numbers that of
    `scipy.stats.binomtest(...).proportion_ci(method="wilson")`.
    """
    z = float(t.ppf((1 + level) / 2, freedom))
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    spread = z / scale * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    # exact at the ends, which rounding could miss
    low = 0.0 if share == 0 else max(0.0, middle - spread)
    return low, 1.0 if share == 1 else min(1.0, middle + spread)


def placements(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each malignant lesion the share of benign ones below it; for each benign one, above it.

    Ties count one half. Both empty where one class is absent. The rank form of X. Sun and W. Xu,
    IEEE Signal Processing Letters 21 (2014) 1389.
    """
    malignant = labels == 1
    positives, negatives = int(malignant.sum()), int((~malignant).sum())
    if positives == 0 or negatives == 0:
        return np.empty(0), np.empty(0)
    ranks = rankdata(scores)
    above_benign = (ranks[malignant] - rankdata(scores[malignant])) / negatives
    below_malignant = 1 - (ranks[~malignant] - rankdata(scores[~malignant])) / positives
    return above_benign, below_malignant


def _satterthwaite(influence: npt.NDArray[np.float64]) -> float:
    """2 / (squared coefficient of variation) of the sum of squares of independent numbers."""
    squares = influence**2
    total = float(squares.sum())
    spread = float((squares**2).sum()) - total**2 / squares.size
    return 2 * total**2 / spread if spread > 0 else math.inf


def _logistic(value: float) -> float:
    # the form that does not overflow
    return 1 / (1 + math.exp(-value)) if value > 0 else math.exp(value) / (1 + math.exp(value))
