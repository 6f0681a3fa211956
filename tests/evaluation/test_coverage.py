"""95 % intervals cover the truth about as often as they say, where lesions cluster in patients."""

from __future__ import annotations

import math
import os

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm

from mcalc.evaluation.metrics import auc_interval, rate_bounds

DATA_SETS = 1000
SEED = int(os.environ.get("COVERAGE_SEED", "0"))
"""Another one asks the same question again."""


def data_set(
    draw: np.random.Generator, patients: int, rho: float, area: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Labels, scores and patients; two to six lesions each, scores correlated within patients.

    Labels are alike within patients too. Scores are normal, `area` the true AUC, and half way
    between both classes' means is 0.
    """
    whose = np.repeat(np.arange(patients), draw.integers(2, 7, patients))
    n = whose.size
    kind = math.sqrt(0.7) * draw.normal(size=patients)[whose] + math.sqrt(0.3) * draw.normal(size=n)
    labels = (kind > norm.ppf(0.6)).astype(np.int64)
    noise = math.sqrt(rho) * draw.normal(size=patients)[whose]
    noise = noise + math.sqrt(1 - rho) * draw.normal(size=n)
    return labels, (labels - 0.5) * math.sqrt(2) * norm.ppf(area) + noise, whose


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize("area", [0.7, 0.9])
@pytest.mark.parametrize("rho", [0.3, 0.6])
@pytest.mark.parametrize("patients", [60, 150])
def test_intervals_cover(patients: int, rho: float, area: float) -> None:
    draw = np.random.default_rng([SEED, patients, int(10 * rho), int(10 * area)])
    accuracy = norm.cdf(norm.ppf(area) / math.sqrt(2))
    covered = {"auc": 0, "accuracy": 0, "auc, unclustered": 0}
    for _ in range(DATA_SETS):
        labels, scores, whose = data_set(draw, patients, rho, area)
        stated = norm.cdf(scores)
        low, high = auc_interval(labels, stated, whose)
        covered["auc"] += low <= area <= high
        low, high = auc_interval(labels, stated)
        covered["auc, unclustered"] += low <= area <= high
        low, high = rate_bounds("accuracy", labels, stated, whose)
        covered["accuracy"] += low <= accuracy <= high
    shares = {name: float(count) / DATA_SETS for name, count in covered.items()}
    print(f"{patients} patients, correlation {rho}, AUC {area}: {shares}")
    most = 0.99 if patients == 60 else 0.97
    for name in ("auc", "accuracy"):
        assert 0.93 <= shares[name] <= most, shares
    assert shares["auc, unclustered"] < shares["auc"]
