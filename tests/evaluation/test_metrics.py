from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from sklearn import metrics as sk

from mcalc.errors import UserError
from mcalc.evaluation.metrics import (
    Confusion,
    auc,
    auc_error,
    auc_interval,
    log_loss,
    majority_rate,
    wilson_interval,
)

Predictions = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

# probabilities on a coarse grid, so that ties and p = 0.5 are common
PREDICTIONS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda eighths: eighths / 8)),
    min_size=1,
    max_size=40,
).map(
    lambda pairs: (
        np.array([label for label, _ in pairs], dtype=np.int64),
        np.array([probability for _, probability in pairs], dtype=np.float64),
    )
)


def both_classes(predictions: Predictions, of_each: int = 1) -> bool:
    malignant = int(predictions[0].sum())
    return min(malignant, predictions[0].size - malignant) >= of_each


# --- confusion ------------------------------------------------------------------------------------


@given(PREDICTIONS)
def test_counts_are_scikit_learns(predictions: Predictions) -> None:
    labels, probabilities = predictions
    tn, fp, fn, tp = sk.confusion_matrix(labels, probabilities > 0.5, labels=[0, 1]).ravel()
    assert Confusion.from_predictions(labels, probabilities) == Confusion(tn, fn, tp, fp)


@given(PREDICTIONS)
def test_rates_are_scikit_learns_where_defined_and_nan_elsewhere(predictions: Predictions) -> None:
    labels, probabilities = predictions
    called = probabilities > 0.5
    found = Confusion.from_predictions(labels, probabilities)
    nan = {"zero_division": np.nan}
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, called))
    assert found.recall == pytest.approx(sk.recall_score(labels, called, **nan), nan_ok=True)
    assert found.precision == pytest.approx(sk.precision_score(labels, called, **nan), nan_ok=True)
    assert found.specificity == pytest.approx(
        sk.recall_score(labels, called, pos_label=0, **nan), nan_ok=True
    )
    assert found.f_measure == pytest.approx(sk.f1_score(labels, called, **nan), nan_ok=True)


def test_a_tie_goes_to_benign_as_matlabs_classify_does() -> None:
    assert Confusion.from_predictions([0, 1], [0.5, 0.5]) == Confusion(tn=1, fn=1, tp=0, fp=0)
    just_above = np.nextafter(0.5, 1)
    assert Confusion.from_predictions([0, 1], [just_above, just_above]).tp == 1


def test_no_malignant_lesion_and_none_called_so_leaves_three_rates_undefined() -> None:
    counts = Confusion.from_predictions([0, 0, 0], [0.1, 0.2, 0.3])
    assert (counts.accuracy, counts.specificity) == (1.0, 1.0)
    assert math.isnan(counts.recall)
    assert math.isnan(counts.precision)
    assert math.isnan(counts.f_measure)


def test_every_malignant_lesion_missed_is_an_f_measure_of_zero() -> None:
    counts = Confusion.from_predictions([1, 1, 0], [0.1, 0.2, 0.3])
    assert counts.f_measure == 0.0
    assert math.isnan(counts.precision)


def test_empty_counts_have_no_rate() -> None:
    empty = Confusion(0, 0, 0, 0)
    rates = (
        empty.accuracy,
        empty.recall,
        empty.precision,
        empty.specificity,
        empty.f_measure,
    )
    assert all(math.isnan(rate) for rate in rates)


def test_negative_count_is_refused() -> None:
    with pytest.raises(UserError, match=r"Confusion\.fn=-1"):
        Confusion(1, -1, 1, 1)


@pytest.mark.parametrize(
    ("labels", "probabilities", "complaint"),
    [
        ([], [], r"labels has shape \(0,\)"),
        ([0, 1], [0.5], r"probabilities has shape \(1,\) and labels \(2,\)"),
        ([0, 2], [0.5, 0.5], r"labels holds 2"),
        ([0, 1], [0.5, 1.5], r"probabilities holds 1\.5"),
        ([0, 1], [0.5, math.nan], r"probabilities holds nan"),
        ([[0, 1]], [[0.5, 0.5]], r"labels has shape \(1, 2\)"),
    ],
)
def test_malformed_predictions_are_named(
    labels: list[int], probabilities: list[float], complaint: str
) -> None:
    for score in (Confusion.from_predictions, auc, auc_interval, log_loss):
        with pytest.raises(UserError, match=complaint):
            score(labels, probabilities)


# --- Wilson ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_newcombes_worked_examples(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.data(), st.integers(1, 2000), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_solves_its_equation(data: st.DataObject, n: int, level: float) -> None:
    """The bounds are the p at which (share - p)^2 = z^2 p (1 - p) / n, a quadratic in p."""
    successes = data.draw(st.integers(0, n))
    share, z = successes / n, NormalDist().inv_cdf((1 + level) / 2)
    centre = share + z**2 / (2 * n)
    root = math.sqrt(max(0.0, centre**2 - (1 + z**2 / n) * share**2))
    expected = [(centre + sign * root) / (1 + z**2 / n) for sign in (-1, 1)]
    assert wilson_interval(successes, n, level) == pytest.approx(expected, abs=1e-12)


def test_wilson_of_half_of_four_by_hand() -> None:
    """At z^2 = 4 (95.45 %): centre (0.5 + 0.5) / 2, spread sqrt(1 - 2 / 4) / 2."""
    low, high = wilson_interval(2, 4, level=math.erf(math.sqrt(2)))
    assert low == pytest.approx(0.5 - math.sqrt(0.5) / 2, abs=1e-12)
    assert high == pytest.approx(0.5 + math.sqrt(0.5) / 2, abs=1e-12)


def test_wilson_bounds_are_exact_at_the_ends() -> None:
    for n in range(1, 200):
        assert wilson_interval(0, n)[0] == 0.0
        assert wilson_interval(n, n)[1] == 1.0


def test_wilson_of_nothing_is_undefined() -> None:
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0))


@pytest.mark.parametrize(
    ("successes", "n", "level", "complaint"),
    [(3, 2, 0.95, "successes=3"), (-1, 2, 0.95, "successes=-1"), (1, 2, 95, "level=95")],
)
def test_wilson_refuses_what_is_out_of_range(
    successes: int, n: int, level: float, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        wilson_interval(successes, n, level)


# --- AUC ------------------------------------------------------------------------------------------


@given(PREDICTIONS.filter(both_classes))
def test_auc_is_scikit_learns_and_the_mann_whitney_statistic(predictions: Predictions) -> None:
    labels, probabilities = predictions
    assert auc(labels, probabilities) == pytest.approx(sk.roc_auc_score(labels, probabilities))
    malignant, benign = probabilities[labels == 1], probabilities[labels == 0]
    statistic = mannwhitneyu(malignant, benign, method="asymptotic").statistic
    assert auc(labels, probabilities) == pytest.approx(statistic / malignant.size / benign.size)


def test_auc_of_one_class_is_undefined() -> None:
    assert math.isnan(auc([1, 1], [0.2, 0.9]))
    assert all(math.isnan(bound) for bound in auc_interval([0, 0], [0.2, 0.9]))


def test_the_error_of_hanley_and_mcneils_ratings_is_statas() -> None:
    """Hanley and McNeil 1982: 58 normal and 51 abnormal CT scans, rated 1 to 5.

    Stata's manual ([R] roctab) prints area 0.8932 and 95 % interval 0.83295 to 0.95339 (DeLong),
    the area plus and minus 1.96 standard errors. Ours takes that error to the logit scale.
    """
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.repeat([1, 2, 3, 4, 5, 1, 2, 3, 4, 5], normal + abnormal) / 5
    labels = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    assert auc(labels, ratings) == pytest.approx(0.8932, abs=5e-5)
    error = (0.95339 - 0.83295) / 2 / norm.ppf(0.975)
    assert auc_error(labels, ratings) == pytest.approx(error, abs=5e-6)
    low, high = (math.log(end / (1 - end)) for end in auc_interval(labels, ratings))
    assert (low + high) / 2 == pytest.approx(math.log(0.8932 / 0.1068), abs=5e-4)
    # Student's t of at most 50 degrees of freedom, in place of the normal's 1.96
    assert 2.008 < (high - low) / 2 / (error / (0.8932 * 0.1068)) < 2.1


def delong_by_pairs(predictions: Predictions) -> float:
    """Standard error as DeLong 1988 as written there: the kernel over all pairs, no ranks."""
    labels, probabilities = predictions
    malignant, benign = probabilities[labels == 1], probabilities[labels == 0]
    kernel = np.array([[float(x > y) + 0.5 * float(x == y) for y in benign] for x in malignant])
    area = kernel.mean()
    s10 = sum((row - area) ** 2 for row in kernel.mean(axis=1)) / (malignant.size - 1)
    s01 = sum((column - area) ** 2 for column in kernel.mean(axis=0)) / (benign.size - 1)
    return math.sqrt(s10 / malignant.size + s01 / benign.size)


@given(PREDICTIONS.filter(lambda made: both_classes(made, of_each=2)))
def test_the_error_of_single_lesions_is_delongs_definition_over_pairs(
    predictions: Predictions,
) -> None:
    expected = delong_by_pairs(predictions)
    assert auc_error(*predictions) == pytest.approx(expected, abs=1e-9)
    low, high = auc_interval(*predictions)
    if expected < 1e-9:
        assert math.isnan(low)
        assert math.isnan(high)
    else:
        assert 0 <= low < auc(*predictions) < high <= 1


def test_a_wider_level_has_a_wider_interval() -> None:
    labels, probabilities = [0, 1, 0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8, 0.3, 0.2]
    low, high = auc_interval(labels, probabilities, level=0.8)
    lower, higher = auc_interval(labels, probabilities, level=0.95)
    assert lower < low < high < higher


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),  # classes apart
        ([0, 0, 1, 1], [0.4, 0.4, 0.4, 0.4]),  # one probability for all
        ([0, 0, 1], [0.1, 0.9, 0.5]),  # one malignant lesion: no variance
    ],
)
def test_an_interval_claims_no_certainty_where_it_knows_nothing(
    labels: list[int], probabilities: list[float]
) -> None:
    assert not math.isnan(auc(labels, probabilities))
    assert all(math.isnan(bound) for bound in auc_interval(labels, probabilities))


def test_the_interval_covers_the_true_area_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], [60, 40])
    truth = norm.cdf(1 / math.sqrt(2))  # area of two unit normals one apart
    hits = 0
    for _ in range(400):
        scores = norm.cdf(rng.normal(size=100) + labels)
        low, high = auc_interval(labels, scores)
        hits += low <= truth <= high
    assert 0.91 <= hits / 400 <= 0.98


# --- the others -----------------------------------------------------------------------------------


@given(PREDICTIONS)
def test_log_loss_is_scikit_learns(predictions: Predictions) -> None:
    labels, probabilities = predictions
    expected = sk.log_loss(labels, probabilities, labels=[0, 1])
    assert log_loss(labels, probabilities) == pytest.approx(expected)


def test_log_loss_by_hand() -> None:
    assert log_loss([1, 0], [0.25, 0.5]) == pytest.approx((math.log(4) + math.log(2)) / 2)


def test_majority_rate_is_the_commoner_class() -> None:
    assert majority_rate([0, 0, 0, 1]) == 0.75
    assert majority_rate([1, 1, 1, 0]) == 0.75
    assert majority_rate([0]) == 1.0
    with pytest.raises(UserError, match="at least one"):
        majority_rate([])
