"""Thresholds: every possible one tried by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mcalc.evaluation.operating_point import SENSITIVITY, Choice, choose_threshold, sensitivity_at


def rates(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    called = scores > threshold
    return float(called[labels == 1].mean()), float((~called)[labels == 0].mean())


def every_threshold(scores: np.ndarray) -> list[float]:
    values = np.unique(scores)
    return [-np.inf, *((values[1:] + values[:-1]) / 2), float(values[-1]) + 1]


def draw(seed: int, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(60) < 0.4).astype(np.int64)
    return labels, np.round(labels + generator.normal(size=60), decimals)  # with ties


@pytest.mark.parametrize("seed", range(8))
def test_youden_is_the_best_sum_of_all_thresholds(seed: int) -> None:
    labels, scores = draw(seed)
    found = choose_threshold(labels, scores, Choice.youden)
    best = max(sum(rates(labels, scores, each)) for each in every_threshold(scores))
    assert sum(rates(labels, scores, found)) == pytest.approx(best)
    assert found not in scores, "rounding decides nothing"
    alike = [
        rates(labels, scores, each)[0]
        for each in every_threshold(scores)
        if sum(rates(labels, scores, each)) == pytest.approx(best)
    ]
    assert rates(labels, scores, found)[0] == max(alike), "of equal ones the most sensitive"


@pytest.mark.parametrize("seed", range(8))
def test_enough_sensitivity_at_the_largest_specificity(seed: int) -> None:
    labels, scores = draw(seed)
    sensitivity, specificity = rates(
        labels, scores, choose_threshold(labels, scores, Choice.sensitivity)
    )
    assert sensitivity >= SENSITIVITY
    enough = [rates(labels, scores, each) for each in every_threshold(scores)]
    assert specificity == max(spec for sens, spec in enough if sens >= SENSITIVITY)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("specificity", [0.0, 0.8, 0.9, 1.0])
def test_sensitivity_at_a_specificity(seed: int, specificity: float) -> None:
    labels, scores = draw(seed)
    possible = [rates(labels, scores, each) for each in every_threshold(scores)]
    best = max(sens for sens, spec in possible if spec >= specificity - 1e-12)
    assert sensitivity_at(labels, scores, specificity) == pytest.approx(best)


def test_a_network_that_knows_nothing_calls_everything_malignant() -> None:
    labels = np.array([0, 1, 0, 1])
    for choice in Choice:
        assert choose_threshold(labels, np.full(4, 0.3), choice) == -np.inf


def test_classes_apart_are_told_apart() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([-4.0, -3.0, 1.0, 2.0])
    for choice in Choice:
        assert choose_threshold(labels, scores, choice) == -1.0
