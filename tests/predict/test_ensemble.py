"""The joint log odds of networks, by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference

from mcalc.errors import UserError
from mcalc.predict.ensemble import (
    Joining,
    greedy_weights,
    joined,
    joint_validation,
    log_loss,
    weights_of,
)
from mcalc.results import Predictions

LABELS = np.array([0, 0, 0, 1, 1, 1])
GOOD = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
NOISE = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])


def said(odds: np.ndarray, ids: str = "abcdef", labels: np.ndarray = LABELS) -> Predictions:
    return Predictions(tuple(ids), labels, 1 / (1 + np.exp(-odds)), logits=odds[:, None])


def test_the_loss_is_scikit_learns() -> None:
    odds = np.array([GOOD, NOISE])
    expected = [reference(LABELS, 1 / (1 + np.exp(-each))) for each in odds]
    np.testing.assert_allclose(log_loss(LABELS, odds), expected, rtol=1e-12)


def test_a_network_that_only_harms_gets_no_share() -> None:
    assert greedy_weights(LABELS, np.array([NOISE, GOOD])) == [0.0, 1.0]


def test_two_that_complete_each_other_share() -> None:
    """Each is right about one half with much confidence, and a little wrong about the other."""
    first = np.array([-4.0, -4.0, -4.0, -0.5, -0.5, -0.5])
    second = np.array([0.5, 0.5, 0.5, 4.0, 4.0, 4.0])
    weights = greedy_weights(LABELS, np.array([first, second]))
    assert weights == [0.5, 0.5]
    both = log_loss(LABELS, joined(np.array([first, second]), weights)[None])[0]
    assert both < min(log_loss(LABELS, np.array([first, second])))


def test_the_mean_counts_all_alike() -> None:
    weights = weights_of(Joining.mean, None, 4)
    assert weights == [0.25] * 4
    assert joined(np.array([[1.0], [2.0], [3.0], [6.0]]), weights)[0] == pytest.approx(3.0)


def test_greedy_needs_lesions_that_all_were_stopped_by() -> None:
    shared = joint_validation([said(GOOD), said(NOISE)])
    assert shared is not None
    assert weights_of(Joining.greedy, shared, 2) == [1.0, 0.0]
    others = joint_validation([said(GOOD), said(NOISE, "uvwxyz")])
    assert others is None, "what stopped the one has trained the other"
    assert joint_validation([said(GOOD), None]) is None
    one_class = np.array([0, 0, 0, 0, 0, 1])
    assert joint_validation([said(GOOD, labels=one_class)] * 2) is None
    with pytest.raises(UserError, match=r"protocol\.validation"):
        weights_of(Joining.greedy, None, 2)


def test_the_decision_of_the_joint_network_is_that_of_its_joint_log_odds() -> None:
    from mcalc.evaluation import Choice, decide
    from mcalc.predict.ensemble import joined_predictions

    together = joined_predictions([said(GOOD), said(NOISE)], [0.75, 0.25])
    np.testing.assert_allclose(together.logits, (0.75 * GOOD + 0.25 * NOISE)[:, None])
    decision = decide(together, Choice.youden)
    assert list(decision.calls(together.logits[:, 0])) == [False] * 3 + [True] * 3
    assert math.isnan(decision.temperature), "it tells the classes apart"
