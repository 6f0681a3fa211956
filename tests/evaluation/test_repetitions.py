"""Differences over blocks and stability of ranks, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from mcalc.evaluation.repetitions import blocked_difference, rank_stability

FIRST = np.array([0.81, 0.78, 0.84, 0.80, 0.79])
SECOND = np.array([0.79, 0.77, 0.80, 0.81, 0.76])


def test_independent_blocks_are_the_paired_t_test() -> None:
    found = blocked_difference(FIRST, SECOND)
    expected = ttest_rel(FIRST, SECOND)
    ends = expected.confidence_interval()
    assert (found.low, found.high, found.p) == pytest.approx((ends.low, ends.high, expected.pvalue))


def test_overlapping_blocks_have_nadeau_and_bengios_variance() -> None:
    """Variance (1/J + tested/trained) s^2; five folds: 1/5 + 1/4."""
    found = blocked_difference(FIRST, SECOND, overlap=0.25)
    error = math.sqrt((1 / 5 + 1 / 4) * np.var(FIRST - SECOND, ddof=1))
    assert found.high - found.value == pytest.approx(t.ppf(0.975, 4) * error)
    assert found.p > blocked_difference(FIRST, SECOND).p


def test_one_block_has_no_interval_and_equal_ones_do_not_differ() -> None:
    assert math.isnan(blocked_difference(FIRST[:1], SECOND[:1]).p)
    assert blocked_difference(FIRST, FIRST).p == 1


def test_ranks_by_hand() -> None:
    """Three blocks that agree wholly: W is 1; ranks 1, 2, 3 in each."""
    scores = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4], [0.9, 0.85, 0.2]])
    ranks, agreement, p = rank_stability(scores)
    assert ranks.tolist() == [[1, 2, 3]] * 3
    assert agreement == pytest.approx(1)
    assert p < 0.05


def test_ranks_that_cancel_out_agree_in_nothing() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.8, 0.7, 0.9], [0.7, 0.9, 0.8]])
    _, agreement, p = rank_stability(scores)
    assert agreement == pytest.approx(0, abs=1e-12)
    assert p == pytest.approx(1)


def test_two_configurations_or_one_block_have_no_agreement() -> None:
    assert math.isnan(rank_stability(np.array([[0.9, 0.8], [0.7, 0.6]]))[1])
    assert math.isnan(rank_stability(np.array([[0.9, 0.8, 0.7]]))[1])
    assert math.isnan(rank_stability(np.full((3, 4), 0.5))[1]), "all ties"
