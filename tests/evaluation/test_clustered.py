"""Uncertainty by patient, against its definitions, the bootstrap and the unclustered methods."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from mcalc.errors import UserError
from mcalc.evaluation.clustered import (
    area_interval,
    areas,
    design_effect,
    patient_numbers,
    rate_interval,
    wilson,
)
from mcalc.evaluation.metrics import RATES, auc_error, auc_interval, rate_bounds

Lesions = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Labels, scores and patients."""


def lesions(seed: int, patients: int = 40, rho: float = 0.5) -> Lesions:
    """Two to six lesions a patient, of mixed labels, whose scores share a part."""
    draw = np.random.default_rng(seed)
    whose = np.repeat(np.arange(patients), draw.integers(2, 7, patients))
    kind = math.sqrt(0.5) * draw.normal(size=patients)[whose] + math.sqrt(0.5) * draw.normal(
        size=whose.size
    )
    labels = (kind > 0.3).astype(np.int64)
    shared = math.sqrt(rho) * draw.normal(size=patients)[whose]
    return labels, labels + shared + math.sqrt(1 - rho) * draw.normal(size=whose.size), whose


def obuchowski(
    labels: npt.NDArray[np.int64],
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    whose: npt.NDArray[np.int64],
) -> float:
    """Covariance of two AUCs as Obuchowski 1997 writes it: kernels over all pairs, cluster sums."""

    def components(scores: npt.NDArray[np.float64]) -> tuple[dict[int, float], dict[int, float]]:
        malignant, benign = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        kernel = np.array(
            [
                [(scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]) for j in benign]
                for i in malignant
            ],
            dtype=float,
        )
        area = kernel.mean()
        above: dict[int, float] = {}
        below: dict[int, float] = {}
        for row, i in enumerate(malignant):
            above[whose[i]] = above.get(whose[i], 0.0) + kernel[row].mean() - area
        for column, j in enumerate(benign):
            below[whose[j]] = below.get(whose[j], 0.0) + kernel[:, column].mean() - area
        return above, below

    (a1, b1), (a2, b2) = components(first), components(second)
    m, n = int((labels == 1).sum()), int((labels == 0).sum())
    i10, i01, i = len(a1), len(b1), len(set(whose.tolist()))
    s10 = i10 / ((i10 - 1) * m) * sum(a1[c] * a2[c] for c in a1)
    s01 = i01 / ((i01 - 1) * n) * sum(b1[c] * b2[c] for c in b1)
    s11 = i / (i - 1) * sum(a1[c] * b2.get(c, 0.0) for c in a1)
    s11_other = i / (i - 1) * sum(a2[c] * b1.get(c, 0.0) for c in a2)
    return s10 / m + s01 / n + (s11 + s11_other) / (m * n)


@pytest.mark.parametrize("seed", range(4))
def test_covariance_is_obuchowskis_definition(seed: int) -> None:
    labels, scores, whose = lesions(seed, patients=15)
    other = np.round(scores + np.random.default_rng(seed).normal(size=scores.size))  # with ties
    found = areas(labels, np.array([scores, other]), whose)
    assert found.values[0] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found.values[1] == pytest.approx(sk.roc_auc_score(labels, other))
    for place, pair in {
        (0, 0): (scores, scores),
        (1, 1): (other, other),
        (0, 1): (scores, other),
    }.items():
        assert found.covariance[place] == pytest.approx(obuchowski(labels, *pair, whose), rel=1e-12)


def test_the_error_is_that_of_a_bootstrap_over_patients() -> None:
    labels, scores, whose = lesions(3, patients=150)
    draw = np.random.default_rng(0)
    of_patient = [np.flatnonzero(whose == each) for each in range(150)]
    found = []
    for _ in range(1500):
        rows = np.concatenate([of_patient[each] for each in draw.integers(0, 150, 150)])
        found.append(sk.roc_auc_score(labels[rows], scores[rows]))
    assert auc_error(labels, scores_as_probabilities(scores), whose) == pytest.approx(
        np.std(found), rel=0.08
    )


def scores_as_probabilities(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-scores))


def test_clustering_widens_where_lesions_of_a_patient_are_alike() -> None:
    labels, scores, whose = lesions(5, patients=100, rho=0.8)
    stated = scores_as_probabilities(scores)
    assert auc_error(labels, stated, whose) > 1.2 * auc_error(labels, stated)


def test_by_patient_and_not_are_one_where_each_lesion_is_its_own_patient() -> None:
    labels, scores, _ = lesions(1)
    stated, own = scores_as_probabilities(scores), [f"P{i}" for i in range(labels.size)]
    assert auc_interval(labels, stated, own) == auc_interval(labels, stated)
    for name in RATES:
        assert rate_bounds(name, labels, stated, own) == rate_bounds(name, labels, stated)
    right = (stated > 0.5) == (labels == 1)
    interval = binomtest(int(right.sum()), right.size).proportion_ci(method="wilson")
    assert rate_bounds("accuracy", labels, stated, own) == pytest.approx(tuple(interval))


def test_the_order_and_names_of_patients_do_not_count() -> None:
    labels, scores, whose = lesions(2)
    stated = scores_as_probabilities(scores)
    names = [f"patient {100 - each}" for each in whose]
    order = np.random.default_rng(0).permutation(labels.size)
    found = auc_interval(labels[order], stated[order], np.array(names)[order])
    assert found == pytest.approx(auc_interval(labels, stated, whose), rel=1e-12)
    assert design_effect(stated[order] > 0.5, np.array(names)[order]) == pytest.approx(
        design_effect(stated > 0.5, whose)
    )


def test_the_interval_of_an_area_by_hand() -> None:
    """AUC 0.8, variance 0.0016, 11 degrees of freedom: logit 1.3863, its error 0.04 / 0.16."""
    spread = t.ppf(0.975, 11) * 0.25
    low, high = area_interval(0.8, 0.0016, 11)
    assert math.log(low / (1 - low)) == pytest.approx(math.log(4) - spread)
    assert math.log(high / (1 - high)) == pytest.approx(math.log(4) + spread)


@pytest.mark.parametrize(
    ("labels", "scores", "patients"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "abcd"),  # apart
        ([0, 0, 1, 1], [0.5] * 4, "abcd"),  # all the same
        ([0, 0, 1, 1], [0.1, 0.9, 0.8, 0.2], "abcc"),  # malignant lesions of one patient
        ([0, 0, 0], [0.1, 0.9, 0.8], "abc"),
    ],
)
def test_no_certainty_is_claimed_where_nothing_is_known(
    labels: list[int], scores: list[float], patients: str
) -> None:
    assert all(math.isnan(end) for end in auc_interval(labels, scores, list(patients)))


def test_the_design_effect_by_hand() -> None:
    """Three patients of two lesions: 2, 1 and 0 hits.

    Without the first the share is 1/4, without the second 1/2, without the third 3/4: the
    jackknife's variance is 2/3 (1/16 + 0 + 1/16) = 1/12; of six independent lesions 0.25 / 5, and
    the effect 5/3. Two patients have misses; one more speaks for 2, pairs that always agree.
    """
    hits = np.array([True, True, True, False, False, False])
    effect = (2 * 5 / 3 + 2) / 3
    assert design_effect(hits, list("aabbcc")) == pytest.approx(effect)
    expected = wilson(0.5, 6 / effect, freedom=2)
    assert rate_interval(hits, list("aabbcc")) == pytest.approx(expected)


def test_the_freedom_of_an_area_is_satterthwaites() -> None:
    """Simulated: the variance's own variance, 2 V^2 / freedom, for equal normal contributions."""
    labels, scores, whose = lesions(13, patients=400, rho=0.1)
    found = areas(labels, scores[None], whose)
    squares = found.influence[0] ** 2
    expected = 2 * squares.sum() ** 2 / (squares.size * squares.var())
    assert found.freedom([1.0]) == pytest.approx(min(found.patients - 1, expected))
    few = areas(np.array([0, 1] * 4), np.arange(8.0)[None], np.repeat(np.arange(4), 2))
    assert few.freedom([1.0]) <= 3


def test_lesions_that_disagree_within_patients_earn_no_narrower_interval() -> None:
    hits = np.array([True, False] * 10)
    # at least 1, and one patient in eleven speaks for 2
    assert design_effect(hits, np.repeat(np.arange(10), 2)) == pytest.approx(12 / 11)


def test_a_first_miss_makes_no_interval_much_narrower() -> None:
    """100 lesions of 20 patients: none missed, then one, two, ...: lower bounds go down."""
    whose = np.repeat(np.arange(20), 5)
    lows = []
    for misses in range(5):
        hits = np.ones(100, dtype=bool)
        hits[: 5 * misses : 5] = False
        lows.append(rate_interval(hits, whose)[0])
    # the plain jackknife's would rise from 0.82 to 0.94
    assert lows[1] < lows[0] + 0.05
    assert lows[4] < lows[1]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=60))
def test_a_rates_interval_stays_within_bounds_and_has_a_width(rows: list[tuple[bool, int]]) -> None:
    hits, whose = np.array([hit for hit, _ in rows]), [str(each) for _, each in rows]
    low, high = rate_interval(hits, whose)
    assert 0 <= low <= hits.mean() <= high <= 1
    assert high - low > 0.01
    alone = rate_interval(hits)
    assert high - low >= alone[1] - alone[0] - 1e-12


@given(st.integers(1, 500), st.data())
def test_wilson_of_whole_numbers_is_scipys(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits / n, n) == pytest.approx(tuple(expected), abs=1e-12)


def test_no_hit_of_patients_with_many_lesions_counts_as_no_hit_of_patients() -> None:
    """Nothing shows how alike a patient's lesions are, so they are taken as wholly so."""
    none = np.zeros(40, dtype=bool)
    whose = np.repeat(np.arange(10), 4)
    assert rate_interval(none, whose) == pytest.approx(wilson(0, 10, freedom=9))


def test_the_f_measures_bounds_are_those_of_its_share_of_lesions() -> None:
    """2 J / (1 + J), J the found among what is malignant or called so: 3 of 6 here, J = 0.5."""
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    stated = [0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1]
    low, high = binomtest(3, 6).proportion_ci(method="wilson")
    expected = (2 * low / (1 + low), 2 * high / (1 + high))
    assert rate_bounds("f_measure", labels, stated) == pytest.approx(expected)
    assert sk.f1_score(labels, np.array(stated) > 0.5) == pytest.approx(2 * 0.5 / 1.5)


def test_rates_count_only_their_own_lesions_and_patients() -> None:
    labels, scores, whose = lesions(7)
    stated = scores_as_probabilities(scores - 0.3)
    malignant, called = labels == 1, stated > 0.5
    for name, among, hit in (
        ("recall", malignant, called),
        ("specificity", ~malignant, ~called),
        ("precision", called, malignant),
    ):
        assert rate_bounds(name, labels, stated, whose) == rate_interval(hit[among], whose[among])
    nothing = rate_bounds("precision", labels, np.zeros(labels.size), whose)
    assert all(math.isnan(end) for end in nothing), "0/0"


def test_as_many_patients_as_lesions_are_needed() -> None:
    with pytest.raises(UserError, match="expected one for each of 3 lesions"):
        patient_numbers(["a", "b"], 3)
