"""Differences of two scorers of the same lesions, against definitions and published examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation.test_clustered import lesions, obuchowski
from scipy.stats import binomtest, norm, t, ttest_1samp

from mcalc.evaluation.clustered import areas
from mcalc.evaluation.paired import (
    auc_differences,
    holm,
    mcnemar,
    rate_difference,
    shares_difference,
)


def test_a_difference_of_areas_has_the_variance_of_the_difference() -> None:
    labels, scores, whose = lesions(4, patients=30)
    other = scores + np.random.default_rng(1).normal(size=scores.size)
    (found,) = auc_differences(labels, np.array([scores, other]), whose, [(0, 1)])
    variance = (
        obuchowski(labels, scores, scores, whose)
        + obuchowski(labels, other, other, whose)
        - 2 * obuchowski(labels, scores, other, whose)
    )
    freedom = areas(labels, np.array([scores, other]), whose).freedom([1, -1])
    assert freedom <= min(len({*whose[labels == 1]}), len({*whose[labels == 0]})) - 1
    error = math.sqrt(variance)
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975, freedom) * error)
    assert (found.low + found.high) / 2 == pytest.approx(found.value)
    assert found.p == pytest.approx(2 * t.sf(abs(found.value) / error, freedom))


def test_the_reverse_comparison_is_the_same_turned_round() -> None:
    labels, scores, whose = lesions(6)
    both = np.array([scores, np.random.default_rng(2).permutation(scores)])
    one, other = auc_differences(labels, both, whose, [(0, 1), (1, 0)])
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_equal_predictions_do_not_differ_and_have_no_interval() -> None:
    labels, scores, whose = lesions(8)
    (found,) = auc_differences(labels, np.array([scores, scores]), whose, [(0, 1)])
    assert (found.value, found.p) == (0, 1)
    assert math.isnan(found.low)
    rate = rate_difference(scores > 0, scores > 0, whose)
    assert (rate.value, rate.p) == (0, 1)
    assert math.isnan(rate.high)


def test_no_difference_is_found_as_often_as_the_level_says() -> None:
    """Two scorers of equal worth: p below 0.05 in about one of twenty data sets."""
    found = []
    for seed in range(400):
        labels, scores, whose = lesions(seed, patients=60)
        draw = np.random.default_rng([9, seed])
        both = np.array([scores + draw.normal(size=scores.size) for _ in range(2)])
        found.append(auc_differences(labels, both, whose, [(0, 1)])[0].p)
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.085


def test_a_difference_of_rates_of_single_lesions_is_the_paired_t_test() -> None:
    draw = np.random.default_rng(3)
    first, second = draw.random(80) < 0.8, draw.random(80) < 0.6
    found = rate_difference(first, second, None)
    expected = ttest_1samp(first.astype(float) - second, 0)
    assert found.p == pytest.approx(expected.pvalue)
    ends = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))


def test_a_difference_of_rates_counts_patients() -> None:
    """Each lesion five times, of one patient: no more is known than of the lesion once."""
    draw = np.random.default_rng(3)
    first, second = draw.random(40) < 0.8, draw.random(40) < 0.6
    once = rate_difference(first, second, None)
    five = rate_difference(np.repeat(first, 5), np.repeat(second, 5), np.repeat(np.arange(40), 5))
    assert (five.value, five.low, five.p) == pytest.approx((once.value, once.low, once.p))


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (5, 0, 2 / 2**5), (1, 4, 2 * 6 / 2**5), (3, 3, 1.0)],
)
def test_mcnemar_by_hand(only_first: int, only_second: int, p: float) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True] * 7 + [False] * 2)
    second = np.array([False] * only_first + [True] * only_second + [True] * 7 + [False] * 2)
    assert mcnemar(first, second) == pytest.approx(p)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    kept = holm([0.02, math.nan, 0.03])
    assert kept[::2] == pytest.approx([0.04, 0.04]), "what has no p is not counted"
    assert math.isnan(kept[1])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        # Newcombe 1998, Table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0),
        ((5, 56), (0, 29), -0.0381, 0.1926),
    ],
)
def test_shares_of_different_lesions_are_newcombes_examples(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    shares = one[0] / one[1], other[0] / other[1]
    ends = [tuple(binomtest(*each).proportion_ci(method="wilson")) for each in (one, other)]
    found = shares_difference(shares[0], ends[0], shares[1], ends[1])
    assert found == pytest.approx((low, high), abs=6e-5)


def test_two_sided_p_is_that_of_a_normal_where_patients_are_many() -> None:
    labels, scores, whose = lesions(11, patients=3000)
    other = scores + 0.3 * np.random.default_rng(1).normal(size=scores.size)
    (found,) = auc_differences(labels, np.array([scores, other]), whose, [(0, 1)])
    error = (found.high - found.low) / 2 / norm.ppf(0.975)
    assert found.p == pytest.approx(2 * norm.sf(abs(found.value) / error), rel=0.1)
