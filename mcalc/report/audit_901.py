"""The part of the audit about 901 reported images: the arithmetic, and two hypotheses side by side.

Neither is a proof: each is one way to come by such a number, with what speaks for and against it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcalc.data.sources.cbis_ddsm import Case, count_differences
from mcalc.paper import BENIGN, MALIGNANT, REPORTED
from mcalc.paper.reported_set import (
    COPIES,
    PATTERNS,
    Selection,
    chance_of_share,
    left_after,
    left_of,
    needed,
)
from mcalc.paper.selections import (
    CALCIFICATIONS,
    calcification_rows,
    selections,
    whole_mammograms,
)
from mcalc.report.formats import NOT_RUN, Column, Table, numbers

_COPIED = round(COPIES * PATTERNS)
"""Images of hypothesis (a)."""


def sizes_table() -> Table:
    """What a 70/30 split leaves of 1360 patterns, and how many images 901 would take."""
    benign, malignant, total = needed()
    columns = (
        Column("what", "What", text=True),
        *numbers(images="Images", left="Left by 70/30"),
    )
    rows = (
        ("patterns of the paper", str(PATTERNS), str(left_of(PATTERNS))),
        (f"{COPIES} x {PATTERNS}, hypothesis (a)", str(_COPIED), str(left_of(_COPIED))),
        ("reported by the paper, and what that takes", str(total), str(REPORTED)),
        ("  benign", str(benign), str(BENIGN)),
        ("  malignant", str(malignant), str(MALIGNANT)),
    )
    most = left_of(PATTERNS).high
    return Table(
        "901 reported images: what a split of 70 to 30 leaves",
        columns,
        rows,
        (
            f"{PATTERNS} patterns leave at most {most}: they cannot give {REPORTED}.",
            "Each label is split apart and its training part rounded down, as MATLAB's "
            "splitEachLabel does; a range is over what the two labels may be, or over what leaves "
            "that number.",
        ),
    )


def hypotheses_table(cases: Sequence[Case] | None) -> Table:
    """Both hypotheses side by side; cells that need the case CSVs are empty without them."""
    copied = _Copies(calcification_rows(cases) if cases is not None else None)
    whole = whole_mammograms(cases) if cases is not None else None
    ways = selections(cases) if cases is not None else ()
    columns = (
        Column("what", "", text=True),
        *numbers(copies="(a) Copies", mammograms="(b) Whole mammograms", paper="The paper"),
    )
    benign, malignant, total = needed()
    rows = (
        ("before the split", str(_COPIED), _total(whole), f"{total} needed"),
        ("  benign", copied.cell("benign"), _cell(whole, "benign"), f"{benign} needed"),
        ("  malignant", copied.cell("malignant"), _cell(whole, "malignant"), f"{malignant} needed"),
        ("left by 70/30", str(left_of(_COPIED)), _left(whole), str(REPORTED)),
        (
            "  benign + malignant", copied.left, _both(whole), f"{BENIGN} + {MALIGNANT}",
        ),
        (
            "malignant share", copied.share, NOT_RUN if whole is None else f"{whole.share:.4f}",
            f"{MALIGNANT / REPORTED:.4f}",
        ),
        (
            f"p of {MALIGNANT} of {REPORTED}, binomial", copied.p,
            NOT_RUN if whole is None else f"{whole.p:.2g}", "",
        ),
    )  # fmt: skip
    return Table(
        "Two hypotheses about the 901 images; neither is proved",
        columns,
        rows,
        (*_for_copies(copied, ways), *_for_whole(whole, ways), *_on_p(ways)),
    )


def counts_table(cases: Sequence[Case]) -> Table:
    """Every way to count the data, with what a split leaves and how far its label share fits."""
    columns = (
        *(Column(key, key.capitalize(), text=True) for key in ("data", "unit", "label")),
        *numbers(n="n", share="Malignant", p="p", left="Left by 70/30", sum="Sum"),
    )
    rows = tuple(
        (
            each.data, each.unit, each.rule, str(each.total), f"{each.share:.4f}", f"{each.p:.2g}",
            "{} + {}".format(*each.left), str(sum(each.left)),
        )
        for each in selections(cases)
    )  # fmt: skip
    notes = (
        "Calc: the calcification CSVs; both: with the mass CSVs. Any malignant: one with several "
        "rows is malignant where any of them is. One label: those whose rows differ are left out. "
        "A mammogram is the film of one patient, breast and view; film names: it counts once for "
        "each name that the CSVs' paths give it, which differ between calcifications and masses, "
        "training and test.",
        f"p: of {MALIGNANT} malignant among {REPORTED}, were that share true; two-sided binomial.",
        *(f"{each}: figures above are of these files." for each in count_differences(cases)),
    )
    return Table("Ways to count the data, beside what the paper reports", columns, rows, notes)


class _Copies:
    """Hypothesis (a): 2.2 images of each pattern, of which copies are as malignant as patterns."""

    def __init__(self, rows: Selection | None) -> None:
        self.rows = rows

    def count(self, label: str) -> int | None:
        """Copies of that label, to the nearest whole one."""
        if self.rows is None:
            return None
        malignant = round(self.rows.share * _COPIED)
        return malignant if label == "malignant" else _COPIED - malignant

    def cell(self, label: str) -> str:
        number = self.count(label)
        return NOT_RUN if number is None else str(number)

    @property
    def left(self) -> str:
        benign, malignant = self.count("benign"), self.count("malignant")
        if benign is None or malignant is None:
            return NOT_RUN
        return f"{left_after(benign)} + {left_after(malignant)}"

    @property
    def share(self) -> str:
        return NOT_RUN if self.rows is None else f"{self.rows.share:.4f}"

    @property
    def p(self) -> str:
        return NOT_RUN if self.rows is None else f"{self.rows.p:.0e}"


def _for_copies(copied: _Copies, ways: Sequence[Selection]) -> list[str]:
    rates = [f"{images / PATTERNS:.3f}" for images in (needed()[2].low, needed()[2].high)]
    notes = [
        f"For (a): section II.2 has images augmented to increase their number, and {REPORTED} is "
        f"0.3 x {REPORTED / 0.3:.0f} or 0.3 x {REPORTED / 0.3 / PATTERNS:.2f} x {PATTERNS}. "
        "Augmenting first and splitting afterwards would put copies of one lesion on both sides.",
        f"Against (a): {COPIES} x {PATTERNS} leaves {left_of(_COPIED)}, and {REPORTED} takes "
        f"{rates[0]} to {rates[1]} images a pattern; the paper names no such number.",
    ]
    if copied.rows is not None:
        notes.append(
            f"Against (a): {copied.share} of calcification rows are malignant, and of their copies "
            f"at any constant rate; {MALIGNANT} of {REPORTED} are {MALIGNANT / REPORTED:.4f}."
        )
        fit = [way for way in ways if way.total == PATTERNS]
        found = ", ".join(way.name for way in fit) or "none"
        notes.append(
            f"Ways to count the data that give {PATTERNS} patterns, of those below: {found}."
        )
    return notes


def _for_whole(whole: Selection | None, ways: Sequence[Selection]) -> list[str]:
    benign, malignant, _ = needed()
    notes = [
        "For (b): section V says that whole mammogram images were used.",
        "Against (b): sections II.1 and III say that calcifications alone were, and count "
        "patterns.",
    ]
    if whole is None:
        return notes
    left = sum(whole.left)
    agrees = "exactly as many as" if left == REPORTED else f"not the {REPORTED} that"
    notes.append(
        f"For (b): mammograms of calcifications and masses with one label leave {left}, {agrees} "
        "the paper reports."
    )
    if whole.left != (BENIGN, MALIGNANT):
        notes.append(
            f"Against (b): by label they leave {_both(whole)}, where the paper has {BENIGN} + "
            f"{MALIGNANT}. That takes {benign} benign and {malignant} malignant; there are "
            f"{whole.benign} and {whole.malignant}."
        )
    hits = sum(sum(way.left) == REPORTED for way in ways)
    notes.append(
        f"Against (b): it was found by searching. Of the {len(ways)} ways to count below, {hits} "
        f"leave{'s' if hits == 1 else ''} {REPORTED}, so that a coincidence is not excluded."
    )
    return notes


def _on_p(ways: Sequence[Selection]) -> list[str]:
    if not ways:
        return []
    fit = [way.unit for way in ways if way.data == CALCIFICATIONS and way.p >= 0.05]
    also = (
        " The share alone does not exclude calcifications that are counted otherwise: by "
        f"{' or '.join(dict.fromkeys(fit))}."
        if fit
        else ""
    )
    few = chance_of_share(ways[0].malignant, ways[0].total)
    return [
        "Binomial p takes images as independent and drawn by chance. Copies of one lesion are not "
        f"independent, which makes {few:.0e} too small; a split by label leaves the data's share, "
        f"up to rounding.{also}"
    ]


def _total(selection: Selection | None) -> str:
    return NOT_RUN if selection is None else str(selection.total)


def _cell(selection: Selection | None, label: str) -> str:
    return NOT_RUN if selection is None else str(getattr(selection, label))


def _left(selection: Selection | None) -> str:
    return NOT_RUN if selection is None else str(sum(selection.left))


def _both(selection: Selection | None) -> str:
    return NOT_RUN if selection is None else "{} + {}".format(*selection.left)
