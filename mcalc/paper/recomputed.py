"""Tables 1, 2 and 6 of the paper, and the accuracies of Table 5, computed again from its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction

from mcalc.paper.tables import NETWORKS, PAPER_TRIALS, PaperTrial

TOLERANCE = Fraction(1, 10_000)
"""How far a printed value may lie from the computed one: one unit of the fourth digit."""

_DIGITS = Decimal("0.0001")
_FIVE_DIGITS = Decimal("0.00001")


class Printed(StrEnum):
    """How four digits came from the exact value."""

    EXACT = "exact"
    ROUNDED = "rounded"
    CUT = "cut off"
    TWICE = "rounded twice"
    """To five digits first, and then to four."""
    OTHERWISE = "otherwise"


@dataclass(frozen=True, slots=True)
class Cell:
    """One printed value beside what Table 5's counts give."""

    table: str
    """`1`, `2`, `5` or `6`."""
    row: str
    """`AL1` .. `GL10`."""
    quantity: str
    """`accuracy`, `recall`, `precision`, `specificity` or `F-measure`."""
    printed: Decimal
    exact: Fraction

    @property
    def off(self) -> float:
        """Printed minus exact."""
        return float(Fraction(self.printed) - self.exact)

    @property
    def agrees(self) -> bool:
        """Whether it is within `TOLERANCE`."""
        return abs(Fraction(self.printed) - self.exact) < TOLERANCE

    @property
    def how(self) -> Printed:
        """How its digits came about; the first of the ways that gives them."""
        # 28 digits: no value here lies nearer to a tie than that
        value = Decimal(self.exact.numerator) / Decimal(self.exact.denominator)
        ways = {
            Printed.EXACT: value,
            Printed.ROUNDED: value.quantize(_DIGITS, ROUND_HALF_UP),
            Printed.CUT: value.quantize(_DIGITS, ROUND_DOWN),
            Printed.TWICE: value.quantize(_FIVE_DIGITS, ROUND_HALF_UP).quantize(
                _DIGITS, ROUND_HALF_UP
            ),
        }
        found = (way for way, digits in ways.items() if digits == self.printed)
        return next(found, Printed.OTHERWISE)


def cells() -> tuple[Cell, ...]:
    """Every printed accuracy and every value of Table 6, table by table."""
    every = [trial for network in NETWORKS for trial in PAPER_TRIALS[network]]
    found = [cell for trial in every for cell in _cells(trial)]
    return tuple(sorted(found, key=lambda cell: cell.table))


def differing_accuracies() -> tuple[str, ...]:
    """Rows whose accuracy in Table 1 or 2 is another number than in Table 5, in words."""
    return tuple(
        f"{trial.name}: {trial.accuracy} and {trial.table5_accuracy}"
        for trials in PAPER_TRIALS.values()
        for trial in trials
        if trial.accuracy != trial.table5_accuracy
    )


def other_digits() -> tuple[str, ...]:
    """Rows where that accuracy is the same number, printed with fewer digits in one of them."""
    return tuple(
        f"{trial.name} ({trial.accuracy} and {trial.table5_accuracy})"
        for trials in PAPER_TRIALS.values()
        for trial in trials
        if trial.accuracy == trial.table5_accuracy
        and str(trial.accuracy) != str(trial.table5_accuracy)
    )


def totals(trials: Sequence[PaperTrial]) -> set[tuple[int, int]]:
    """Benign and malignant images of Table 5, one pair for each way that its rows sum up."""
    return {(trial.confusion.negatives, trial.confusion.positives) for trial in trials}


def _cells(trial: PaperTrial) -> Iterator[Cell]:
    c = trial.confusion
    exact = {
        "accuracy": Fraction(c.tn + c.tp, c.total),
        "recall": Fraction(c.tp, c.tp + c.fn),
        "precision": Fraction(c.tp, c.tp + c.fp),
        "specificity": Fraction(c.tn, c.tn + c.fp),
        "F-measure": Fraction(2 * c.tp, 2 * c.tp + c.fp + c.fn),
    }
    own = "1" if trial.network == NETWORKS[0] else "2"
    yield Cell(own, trial.name, "accuracy", trial.accuracy, exact["accuracy"])
    yield Cell("5", trial.name, "accuracy", trial.table5_accuracy, exact["accuracy"])
    printed = (trial.recall, trial.precision, trial.specificity, trial.f_measure)
    for quantity, value in zip(tuple(exact)[1:], printed, strict=True):
        yield Cell("6", trial.name, quantity, value, exact[quantity])
