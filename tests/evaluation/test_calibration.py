"""Calibration and temperature, against maximum likelihood found by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from mcalc.evaluation.calibration import calibration, reliability_bins, temperature

DRAW = np.random.default_rng(5)
ODDS = DRAW.normal(0.4, 2.0, 500)
LABELS = (DRAW.random(500) < expit(ODDS / 3 - 0.5)).astype(np.int64)
"""Stated too extreme by 3, and too high by 0.5."""


def loss(odds: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, np.where(LABELS == 1, -odds, odds))))


def test_slope_and_intercept_maximise_the_likelihood() -> None:
    found = calibration(LABELS, ODDS)
    best = minimize(lambda x: loss(x[0] + x[1] * ODDS), [0.0, 1.0], tol=1e-12)
    assert found.slope == pytest.approx(best.x[1], abs=1e-4)
    shift = minimize_scalar(lambda x: loss(x + ODDS), bounds=(-5, 5), method="bounded")
    assert found.intercept == pytest.approx(shift.x, abs=1e-4)
    assert found.brier == pytest.approx(sk.brier_score_loss(LABELS, expit(ODDS)))


@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0])
def test_the_temperature_has_the_least_loss(scale: float) -> None:
    best = minimize_scalar(
        lambda x: loss(ODDS / math.exp(x)),
        bounds=(-5, 9),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert temperature(LABELS, scale * ODDS) == pytest.approx(scale * math.exp(best.x), rel=1e-4)


def test_after_scaling_by_its_temperature_nothing_is_left_to_scale() -> None:
    by = temperature(LABELS, ODDS)
    assert by > 1.5, "too extreme"
    assert temperature(LABELS, ODDS / by) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    "odds", [[-3.0, -2.0, 1.0, 2.0], [3.0, 2.0, -1.0, -2.0], [1.0, 2.0, 0.5, 0.6]]
)
def test_where_no_temperature_is_the_best_none_is_given(odds: list[float]) -> None:
    assert math.isnan(temperature(np.array([0, 0, 1, 1]), np.array(odds)))


def test_classes_apart_have_no_slope_and_one_class_has_neither() -> None:
    apart = calibration(np.array([0, 0, 1]), np.array([-2.0, -1.0, 1.0]))
    assert math.isnan(apart.slope)
    assert math.isfinite(apart.intercept)
    alone = calibration(np.array([1, 1]), np.array([0.0, 2.0]))
    assert math.isnan(alone.slope)
    assert math.isnan(alone.intercept)
    assert alone.brier == pytest.approx((0.25 + (1 - expit(2)) ** 2) / 2)


def test_groups_hold_every_lesion_once_in_order() -> None:
    stated = expit(ODDS)
    groups = reliability_bins(stated)
    assert sorted(np.concatenate([each.lesions for each in groups])) == list(range(500))
    assert {each.lesions.size for each in groups} == {50}
    assert [each.stated for each in groups] == sorted(each.stated for each in groups)
    assert len(reliability_bins(stated[:3])) == 3, "none is empty"
