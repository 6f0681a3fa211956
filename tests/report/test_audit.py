"""The audit's tables: what they say follows from the numbers, also from others than the paper's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from mcalc.data.records import Pathology, Side, Split, View
from mcalc.data.sources.cbis_ddsm import Case, Kind
from mcalc.paper import recomputed
from mcalc.paper.tables import PAPER_TRIALS, PaperTrial
from mcalc.report import audit as module
from mcalc.report.audit import audit
from mcalc.report.formats import NOT_RUN, Table


def case(kind: Kind, patient: int, malignant: bool) -> Case:
    verdict = Pathology.MALIGNANT if malignant else Pathology.BENIGN
    image = f"{kind}_{patient}"
    return Case(kind, Split.TRAIN, f"P_{patient:05d}", Side.LEFT, View.CC, verdict, image)


def cases(benign: int, malignant: int) -> list[Case]:
    """As many mammograms, a third of them calcifications."""
    return [
        case(Kind.MASS if number % 3 else Kind.CALCIFICATION, number, number < malignant)
        for number in range(benign + malignant)
    ]


def said(table: Table) -> str:
    return " ".join(table.notes)


def cells(table: Table) -> dict[str, tuple[str, ...]]:
    return {row[0].strip(): row[1:] for row in table.rows}


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[PaperTrial, ...]]]:
    """The paper's rows, to be changed."""
    changed = dict(PAPER_TRIALS)
    monkeypatch.setattr(module, "PAPER_TRIALS", changed)
    monkeypatch.setattr(recomputed, "PAPER_TRIALS", changed)
    return changed  # type: ignore[return-value]


def test_what_needs_no_csv_is_all_there_without_them() -> None:
    without, given = audit(None), audit(cases(1685, 1314))
    assert [*given] == [*without, "counts"]
    for name in ("noise", "networks", "best", "recomputed", "sizes"):
        assert without[name] == given[name]
    shown = cells(without["hypotheses"])
    assert shown["malignant share"] == (NOT_RUN, NOT_RUN, "0.4406")
    assert shown["before the split"] == ("2992", NOT_RUN, "2998-3003 needed")
    assert said(without["hypotheses"]).startswith("The four case CSVs")


def test_both_hypotheses_side_by_side() -> None:
    """1,685 benign and 1,314 malignant: 1179 and 919 train, 506 and 395 are left."""
    table = audit(cases(1685, 1314))["hypotheses"]
    shown = cells(table)
    assert shown["before the split"][1] == "2999"
    assert shown["left by 70/30"][1:] == ("901", "901")
    assert shown["benign + malignant"][1:] == ("506 + 395", "504 + 397")
    # a third of 2,999 are calcifications, 438 of them malignant: 0.438 of 2,992 copies
    assert shown["malignant"][0] == str(round(438 / 1000 * 2992))
    text = said(table)
    assert "exactly as many as the paper reports" in text
    assert "by label they leave 506 + 395" in text
    assert "For (a)" in text
    assert "Against (a)" in text
    assert "neither is proved" in table.title


def test_other_data_says_otherwise() -> None:
    text = said(audit(cases(100, 50))["hypotheses"])
    assert "leave 45, not the 901 that the paper reports" in text
    assert "0 leave 901" in text
    fitting = said(audit(cases(1680, 1323))["hypotheses"])
    assert "by label they leave" not in fitting
    # 1,360 patients are a way to count that gives the number of patterns
    assert "give 1360 patterns, of those below: both, rows" in said(
        audit(cases(860, 500))["hypotheses"]
    )


def test_files_with_other_counts_than_published_are_said() -> None:
    assert "calc_case_description_train_set.csv has 50 rows, where 1546 are published" in said(
        audit(cases(100, 50))["counts"]
    )


def test_a_misprint_would_be_named(others: dict[str, tuple[PaperTrial, ...]]) -> None:
    first, *rest = others["alexnet"]
    others["alexnet"] = (
        replace(first, recall=Decimal("0.9294"), accuracy=Decimal("0.8934")), *rest,
    )  # fmt: skip
    text = said(audit(None)["recomputed"])
    assert "1 of 120 values are not what Table 5's counts give" in text
    assert "Table 6 AL1 recall 0.9294, computed 0.9194" in text
    assert "accuracies differ in AL1: 0.8934 and 0.8935" in text


def test_rows_of_rates_that_spread_would_be_told(
    others: dict[str, tuple[PaperTrial, ...]],
) -> None:
    assert "show no effect of rates or L2" in said(audit(None)["noise"])
    first, *rest = others["alexnet"]
    counts = replace(first.confusion, tn=0, fp=first.confusion.negatives)
    others["alexnet"] = (replace(first, confusion=counts), *rest)
    text = said(audit(None)["noise"])
    assert "show no effect" not in text
    assert "spread significantly more than those that differ in patience alone" in text
    assert "does not stand" in said(audit(None)["networks"])
