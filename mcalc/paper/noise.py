"""How far the paper's own rows spread: is there more in its tables than noise?

Rows that differ in patience alone give a yardstick. With one seed they are one training run,
stopped at several places. Whatever they spread by, the other rows have to exceed before rates or L2
can be said to matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import integrate, stats

from mcalc.evaluation import wilson_interval
from mcalc.iteration import grouped
from mcalc.paper.tables import PaperTrial


@dataclass(frozen=True, slots=True)
class Noise:
    """Spread of one network's accuracies, 0..1, computed from the counts of Table 5."""

    alike: tuple[str, ...]
    """Rows that differ in patience alone."""
    others: tuple[str, ...]
    """All other rows; each has rates or an L2 factor of its own."""
    sd_alike: float
    """Standard deviation, n - 1 in its denominator."""
    sd_others: float
    standard_error: float
    """Binomial, of one accuracy at the mean of all rows, on as many images."""
    p_sampling: float
    """Chance of a spread like `sd_alike` or more, were there sampling alone: chi-square, upper
    tail. Rows share their images, so that sampling alone would spread them less."""
    f_ratio: float
    """Variance of the others over that of the rows alike."""
    p_f: float
    """Chance of such a ratio or a higher one, were both variances the same: F, upper tail."""
    f_needed: float
    """Ratio from which on p would be below 0.05."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean difference of two networks' accuracies over pairs of rows, by Student's paired t."""

    pairs: int
    mean: float
    low: float
    """Of the 95 % interval."""
    high: float
    t: float
    p: float
    """Two-sided."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best row of a network, and what its accuracy is worth."""

    name: str
    correct: int
    total: int
    accuracy: float
    low: float
    """Of Wilson's 95 % interval, which takes every image as independent."""
    high: float
    mean: float
    """Of all rows."""
    by_chance: float
    """How far the best of as many equal rows lies above their mean by chance, on average, where
    they spread as the rows that differ in patience alone do."""

    @property
    def above(self) -> float:
        """How far it lies above the mean."""
        return self.accuracy - self.mean


def noise(trials: Sequence[PaperTrial]) -> Noise:
    """The spread of a network's rows."""
    alike = _alike(trials)
    others = [trial for trial in trials if trial not in alike]
    sd_alike = stdev([trial.confusion.accuracy for trial in alike])
    sd_others = stdev([trial.confusion.accuracy for trial in others])
    mean, total = fmean(trial.confusion.accuracy for trial in trials), trials[0].confusion.total
    variance = mean * (1 - mean) / total
    ratio, free = sd_others**2 / sd_alike**2, (len(others) - 1, len(alike) - 1)
    return Noise(
        alike=tuple(trial.name for trial in alike),
        others=tuple(trial.name for trial in others),
        sd_alike=sd_alike,
        sd_others=sd_others,
        standard_error=math.sqrt(variance),
        p_sampling=float(stats.chi2.sf(free[1] * sd_alike**2 / variance, free[1])),
        f_ratio=ratio,
        p_f=float(stats.f.sf(ratio, *free)),
        f_needed=float(stats.f.isf(0.05, *free)),
    )


def difference(first: Sequence[PaperTrial], second: Sequence[PaperTrial]) -> Difference:
    """First network minus second, over the rows that both have in the same order."""
    return _paired([(a.confusion.accuracy, b.confusion.accuracy) for a, b in _pairs(first, second)])


def difference_of_runs(first: Sequence[PaperTrial], second: Sequence[PaperTrial]) -> Difference:
    """As `difference`, with the rows that differ in patience alone taken together as one.

    Ten rows are not ten training runs where four of them are one run.
    """
    groups = grouped(_pairs(first, second), lambda pair: _rates(pair[0]))
    return _paired(
        [
            (
                fmean(a.confusion.accuracy for a, _ in group),
                fmean(b.confusion.accuracy for _, b in group),
            )
            for group in groups.values()
        ]
    )


def best(trials: Sequence[PaperTrial]) -> Best:
    """The row of the highest accuracy."""
    top = max(trials, key=lambda trial: trial.confusion.accuracy)
    counts = top.confusion
    low, high = wilson_interval(counts.correct, counts.total)
    return Best(
        name=top.name,
        correct=counts.correct,
        total=counts.total,
        accuracy=counts.accuracy,
        low=low,
        high=high,
        mean=fmean(trial.confusion.accuracy for trial in trials),
        by_chance=expected_maximum(len(trials)) * noise(trials).sd_alike,
    )


def expected_maximum(n: int) -> float:
    """Mean of the largest of n independent standard normal values."""

    def density(value: float) -> float:
        return float(value * n * stats.norm.pdf(value) * stats.norm.cdf(value) ** (n - 1))

    # beyond ten standard deviations nothing is left
    return float(integrate.quad(density, -10, 10)[0])


def _rates(trial: PaperTrial) -> tuple[int, int, int]:
    return trial.weight_lr, trial.bias_lr, trial.weight_l2


def _alike(trials: Sequence[PaperTrial]) -> list[PaperTrial]:
    """The rows that share rates and L2 with another row."""
    return max(grouped(trials, _rates).values(), key=len)


def _pairs(
    first: Sequence[PaperTrial], second: Sequence[PaperTrial]
) -> list[tuple[PaperTrial, PaperTrial]]:
    pairs = list(zip(first, second, strict=True))
    assert all(a.settings == b.settings for a, b in pairs)
    return pairs


def _paired(pairs: Sequence[tuple[float, float]]) -> Difference:
    result = stats.ttest_rel([a for a, _ in pairs], [b for _, b in pairs])
    interval = result.confidence_interval(0.95)
    return Difference(
        pairs=len(pairs),
        mean=fmean(a - b for a, b in pairs),
        low=float(interval.low),
        high=float(interval.high),
        t=float(result.statistic),
        p=float(result.pvalue),
    )
