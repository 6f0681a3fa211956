"""The paper's noise, against other ways to compute it and the figures of the project's notes."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from scipy import special

from mcalc.paper.noise import best, difference, difference_of_runs, expected_maximum, noise
from mcalc.paper.tables import ALEXNET, GOOGLENET, PAPER_TRIALS

# printed accuracies of Tables 1 and 2, typed from the paper
PRINTED = {
    "alexnet": [0.8935, 0.889, 0.9478, 0.9223, 0.8568, 0.8901, 0.8935, 0.8879, 0.9012, 0.9034],
    "googlenet": [0.8179, 0.8513, 0.7814, 0.8579, 0.8246, 0.8679, 0.8368, 0.8113, 0.8568, 0.8657],
}
ALIKE = [4, 5, 6, 9]
OTHERS = [0, 1, 2, 3, 7, 8]


def upper_f(ratio: float, above: int, below: int) -> float:
    """P(F >= ratio) by the incomplete beta function (Abramowitz and Stegun 26.6.2)."""
    return float(special.betainc(below / 2, above / 2, below / (below + above * ratio)))


def two_sided_t(t: float, free: int) -> float:
    """By the incomplete beta function (Abramowitz and Stegun 26.7.1)."""
    return float(special.betainc(free / 2, 0.5, free / (free + t * t)))


@pytest.mark.parametrize(
    ("network", "sd", "error", "f", "p"),
    [("alexnet", 0.020, 0.010, 1.37, 0.42), ("googlenet", 0.021, 0.012, 2.09, 0.29)],
)
def test_the_figures_that_are_known_of_it(
    network: str, sd: float, error: float, f: float, p: float
) -> None:
    found = noise(PAPER_TRIALS[network])
    assert round(found.sd_alike, 3) == sd
    assert round(found.standard_error, 3) == error
    assert round(found.f_ratio, 2) == f
    assert round(found.p_f, 2) == p


@pytest.mark.parametrize("network", PAPER_TRIALS)
def test_spread_and_tests_by_other_formulas(network: str) -> None:
    found = noise(PAPER_TRIALS[network])
    printed = np.array(PRINTED[network])
    alike, others = printed[ALIKE].std(ddof=1), printed[OTHERS].std(ddof=1)
    # printed with four digits
    assert found.sd_alike == pytest.approx(alike, abs=1e-4)
    assert found.sd_others == pytest.approx(others, abs=1e-4)
    mean = printed.mean()
    assert found.standard_error == pytest.approx(math.sqrt(mean * (1 - mean) / 901), rel=1e-3)
    assert found.p_f == pytest.approx(upper_f(found.f_ratio, 5, 3), rel=1e-9)
    assert upper_f(found.f_needed, 5, 3) == pytest.approx(0.05, rel=1e-9)
    # chi-square of three degrees of freedom, upper tail
    half = 3 * (found.sd_alike / found.standard_error) ** 2 / 2
    assert found.p_sampling == pytest.approx(special.gammaincc(1.5, half), rel=1e-9)


def test_which_rows_differ_in_patience_alone() -> None:
    found = noise(ALEXNET)
    assert found.alike == ("AL5", "AL6", "AL7", "AL10")
    assert found.others == ("AL1", "AL2", "AL3", "AL4", "AL8", "AL9")


def test_alexnet_over_googlenet() -> None:
    found = difference(ALEXNET, GOOGLENET)
    pairs = np.subtract(PRINTED["alexnet"], PRINTED["googlenet"])
    assert found.pairs == 10
    assert found.mean == pytest.approx(pairs.mean(), abs=1e-4)
    t = pairs.mean() / (pairs.std(ddof=1) / math.sqrt(10))
    assert found.t == pytest.approx(t, rel=1e-3)
    assert found.p == pytest.approx(two_sided_t(found.t, 9), rel=1e-9)
    assert (round(found.mean, 3), round(found.p, 3)) == (0.061, 0.001)
    # the interval's ends are where t is that of p = 0.05
    half = (found.high - found.low) / 2
    assert two_sided_t(half / (found.mean / found.t), 9) == pytest.approx(0.05, rel=1e-6)
    assert found.low < found.mean < found.high


def test_rows_of_one_training_run_as_one() -> None:
    found = difference_of_runs(ALEXNET, GOOGLENET)
    pairs = np.subtract(PRINTED["alexnet"], PRINTED["googlenet"])
    seven = [*pairs[OTHERS], pairs[ALIKE].mean()]
    assert found.pairs == 7
    assert found.mean == pytest.approx(fmean(seven), abs=1e-4)
    assert found.p == pytest.approx(two_sided_t(found.t, 6), rel=1e-9)


def test_networks_change_sides() -> None:
    there, back = difference(ALEXNET, GOOGLENET), difference(GOOGLENET, ALEXNET)
    assert back.mean == pytest.approx(-there.mean)
    assert back.p == pytest.approx(there.p)


def test_the_best_rows() -> None:
    top = best(ALEXNET)
    assert (top.name, top.correct, top.total) == ("AL3", 854, 901)
    # Wilson 1927 by hand
    z, n, p = 1.959964, 901, 854 / 901
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert (top.low, top.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert top.above == pytest.approx(854 / 901 - fmean(PRINTED["alexnet"]), abs=1e-4)
    assert best(GOOGLENET).name == "GL6"


def test_the_largest_of_normal_values() -> None:
    """Tippett, Biometrika 17 (1925) 364: half the mean range of n values."""
    assert expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi), rel=1e-6)
    assert expected_maximum(10) == pytest.approx(3.07751 / 2, rel=1e-5)
