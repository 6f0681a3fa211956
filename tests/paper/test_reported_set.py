"""What a 70/30 split leaves, by brute force with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from scipy.stats import binom

from mcalc.paper.reported_set import (
    Range,
    Selection,
    any_malignant,
    chance_of_share,
    joint_labels,
    left_after,
    left_of,
    needed,
    needed_for,
    one_label,
)


def left(n: int) -> int:
    """As splitEachLabel: the training part is rounded down."""
    return n - math.floor(Fraction(7, 10) * n)


def test_every_size_leaves_what_the_fraction_says() -> None:
    assert [left_after(n) for n in range(5000)] == [left(n) for n in range(5000)]


@pytest.mark.parametrize("total", [0, 1, 10, 1360, 2992])
def test_what_is_left_of_two_labels(total: int) -> None:
    every = {left(n) + left(total - n) for n in range(total + 1)}
    assert left_of(total) == Range(min(every), max(every))


def test_1360_patterns_cannot_leave_901() -> None:
    assert left_of(1360) == Range(408, 409)
    # nor can 2.2 x 1360
    assert 901 not in left_of(2992)


@pytest.mark.parametrize("count", [1, 2, 3, 397, 504])
def test_what_is_needed(count: int) -> None:
    fitting = [n for n in range(3000) if left(n) == count]
    assert needed_for(count) == Range(fitting[0], fitting[-1])


def test_what_504_and_397_take() -> None:
    benign, malignant, total = needed()
    assert [left(n) for n in (benign.low - 1, benign.low, benign.high, benign.high + 1)] == [
        503, 504, 504, 505,
    ]  # fmt: skip
    assert [left(n) for n in (malignant.low - 1, malignant.low, malignant.high)] == [396, 397, 397]
    assert total == Range(benign.low + malignant.low, benign.high + malignant.high)
    assert str(total) == f"{total.low}-{total.high}"
    assert str(Range(3, 3)) == "3"


@pytest.mark.parametrize(("malignant", "n"), [(673, 1872), (1314, 2999)])
def test_binomial_p(malignant: int, n: int) -> None:
    """All outcomes that are no likelier than 397 of 901."""
    chances = [binom.pmf(k, 901, malignant / n) for k in range(902)]
    expected = sum(chance for chance in chances if chance <= chances[397] * (1 + 1e-7))
    assert chance_of_share(malignant, n) == pytest.approx(expected, rel=1e-6)


def test_a_selection() -> None:
    some = Selection("calc", "rows", "", benign=1685, malignant=1314)
    assert (some.total, some.left, sum(some.left)) == (2999, (506, 395), 901)
    assert some.share == pytest.approx(1314 / 2999)
    assert some.name == "calc, rows"


def test_labels_of_what_has_several_rows() -> None:
    rows = [("a", True), ("a", False), ("b", False), ("b", False), ("c", True)]
    assert joint_labels(rows, any_malignant) == (1, 2)
    assert joint_labels(rows, one_label) == (1, 1)
