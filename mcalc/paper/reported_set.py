"""Where 901 reported images may come from: what a 70/30 split leaves, and which data it would need.

MATLAB's `splitEachLabel` splits each label apart and rounds the training part down, so that what is
left is n - floor(0.7 n) of each label.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from scipy.stats import binomtest

from mcalc.paper.tables import BENIGN, MALIGNANT, REPORTED

PATTERNS = 1360
"""Micro-calcification patterns that the paper counts (section III)."""
COPIES = 2.2
"""Copies for each pattern that hypothesis (a) assumes, itself included."""


def left_after(n: int) -> int:
    """How many of n of one label are left when 70 %, rounded down, train."""
    return n - 7 * n // 10


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}-{self.high}"

    def __contains__(self, number: int) -> bool:
        return self.low <= number <= self.high


def left_of(total: int) -> Range:
    """How many of `total` images are left, whatever their two labels."""
    left = [left_after(n) + left_after(total - n) for n in range(total + 1)]
    return Range(min(left), max(left))


def needed_for(left: int) -> Range:
    """How many of one label there must have been, for so many to be left."""
    found = [n for n in range(left, 4 * left + 1) if left_after(n) == left]
    return Range(min(found), max(found))


def needed() -> tuple[Range, Range, Range]:
    """Benign, malignant and all images of which 504 + 397 are left."""
    benign, malignant = needed_for(BENIGN), needed_for(MALIGNANT)
    return benign, malignant, Range(benign.low + malignant.low, benign.high + malignant.high)


def chance_of_share(malignant: int, n: int) -> float:
    """Two-sided binomial p of 397 malignant among 901, were their share `malignant` of `n`."""
    return float(binomtest(MALIGNANT, REPORTED, malignant / n).pvalue)


@dataclass(frozen=True, slots=True)
class Selection:
    """One way to count the data, by label."""

    data: str
    """`calc`, or `both` with masses."""
    unit: str
    """What is counted: `rows`, `mammograms`, ..."""
    rule: str
    """What the label of one with several rows is; empty for rows."""
    benign: int
    malignant: int

    @property
    def name(self) -> str:
        """In words: `calc, patients, any malignant`."""
        return ", ".join(filter(None, (self.data, self.unit, self.rule)))

    @property
    def total(self) -> int:
        """Of both labels."""
        return self.benign + self.malignant

    @property
    def share(self) -> float:
        """Of malignant ones, 0..1."""
        return self.malignant / self.total

    @property
    def p(self) -> float:
        """As `chance_of_share`."""
        return chance_of_share(self.malignant, self.total)

    @property
    def left(self) -> tuple[int, int]:
        """Benign and malignant ones that a 70/30 split of each label leaves."""
        return left_after(self.benign), left_after(self.malignant)


def joint_labels(
    labelled: Iterable[tuple[Hashable, bool]], joined: Callable[[set[bool]], bool | None]
) -> tuple[int, int]:
    """Benign and malignant ones of what may have several rows, as a mammogram of several lesions.

    Args:
        labelled: of each row, which one it belongs to, and whether it is malignant.
        joined: the label of one from those of its rows; None leaves it out.
    """
    labels: dict[Hashable, set[bool]] = {}
    for key, malignant in labelled:
        labels.setdefault(key, set()).add(malignant)
    found = [joined(each) for each in labels.values()]
    return found.count(False), found.count(True)


def any_malignant(labels: set[bool]) -> bool:
    """Malignant where any row is."""
    return True in labels


def one_label(labels: set[bool]) -> bool | None:
    """The label that all rows share; None where they differ."""
    return next(iter(labels)) if len(labels) == 1 else None
