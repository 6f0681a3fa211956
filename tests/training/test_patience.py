"""Validation patience against hand-counted sequences of losses (MATLAB's definition)."""

from __future__ import annotations

import math

import pytest

from mcalc.training.patience import ValidationPatience


def stops_at(patience: int | None, losses: list[float]) -> int | None:
    counter = ValidationPatience(patience)
    for evaluation, loss in enumerate(losses, start=1):
        if counter.update(loss):
            return evaluation
    return None


@pytest.mark.parametrize(
    ("patience", "losses", "stop"),
    [
        # best 0.5 at 2; 0.6, 0.7 are two evaluations no better: patience 2 stops at the fourth
        (2, [0.9, 0.5, 0.6, 0.7, 0.4], 4),
        (3, [0.9, 0.5, 0.6, 0.7, 0.4], None),
        # a tie counts as no better
        (2, [0.5, 0.5, 0.5], 3),
        # a new smallest loss starts the count again; better than the one before is not enough
        (2, [0.9, 0.5, 0.8, 0.4, 0.6, 0.5], 6),
        # patience 1 stops at the first evaluation that is no better
        (1, [1.0, 1.1], 2),
        # MATLAB's Inf
        (None, [1.0] * 100, None),
        # no number is no progress
        (2, [1.0, math.nan, math.nan], 3),
    ],
)
def test_counts_evaluations_no_better_than_the_smallest(
    patience: int | None, losses: list[float], stop: int | None
) -> None:
    assert stops_at(patience, losses) == stop


def test_a_larger_patience_never_stops_earlier() -> None:
    losses = [1.0, 0.8, 0.9, 0.85, 0.7, 0.75, 0.75, 0.72, 0.71, 0.9, 0.9]
    stops = [stops_at(patience, losses) or math.inf for patience in range(1, 9)]
    assert stops == sorted(stops)
    assert stops[0] == 3
