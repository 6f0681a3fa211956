"""Tables with a row for each trial, or for several of one configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .check import Check
from .formulas import Row, area, rate, read, scores_of, subset
from .record import BENIGN, Trial, ranks, strata

TABLES = ("table1", "table2", "table5", "table6", "scores", "trials")
_RATES = ("accuracy", "auc", "recall", "precision", "specificity", "f_measure")
_COUNTS = ("tn", "fn", "tp", "fp")


def check_rows(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Compare scores, with their intervals or the SD over several runs."""
    by_rank = ranks(list(trials.values()))
    published = {
        row["name"].split(" (")[0]: _wilson(row)
        for row in read(place / "table5.csv")
        if row["source"] == "paper"
    }
    for name in TABLES:
        for row in read(place / f"{name}.csv"):
            ids = (row.get("run_id") or row.get("run_ids", "")).split()
            theirs = published.get(row["name"].split(" (")[0])
            if theirs and "accuracy_paper_low" in row:
                for end, value in zip(("low", "high"), theirs[1:], strict=True):
                    column = f"accuracy_paper_{end}"
                    check.cell(name, row["name"], column, row[column], value)
            if not ids and "runs" in row:
                check.cell(name, row["name"], "runs", row["runs"], 0)
            if not ids or not set(ids) <= trials.keys() or row.get("source", "ours") != "ours":
                continue
            computed = _scores([trials[each] for each in ids])
            computed |= {"runs": len(ids), "rank": by_rank.get(ids[0], math.nan)}
            for column in row.keys() & computed.keys():
                check.cell(name, row["name"], column, row[column], computed[column])
            for column in _RATES:
                if f"{column}_interval" in row:
                    ends = ("low", "high") if len(ids) == 1 else ("sd",)
                    values = [computed[f"{column}_{end}"] for end in ends]
                    cell = row[f"{column}_interval"]
                    check.interval(name, row["name"], f"{column}_interval", cell, *values)
            _check_differences(check, name, row, computed, theirs)


def _scores(several: Sequence[Trial]) -> dict[str, float]:
    """Means over runs, with the SD between them; intervals of one run alone."""
    found = [scores_of(each.said) | by_class(each) for each in several]
    for one in found:
        one |= {f"{count}_share": one[count] / one["n"] for count in _COUNTS}
    computed = {key: _mean([one[key] for one in found]) for key in found[0]}
    for key in _RATES:
        defined = [one[key] for one in found if not math.isnan(one[key])]
        computed[f"{key}_sd"] = float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan
    if len(several) > 1:
        for key in computed:
            if key.endswith(("_low", "_high", "_se")):
                computed[key] = math.nan
    return computed


def _mean(values: Sequence[float]) -> float:
    defined = [each for each in values if not math.isnan(each)]
    return float(np.mean(defined)) if defined else math.nan


def _check_differences(
    check: Check,
    table: str,
    row: Row,
    computed: Mapping[str, float],
    theirs: tuple[float, float, float] | None,
) -> None:
    """Ours less the paper's; of the accuracy with method 10 of Newcombe (1998)."""
    for key in _RATES:
        if row.get(f"{key}_paper") and f"{key}_difference" in row:
            value = computed[key] - float(row[f"{key}_paper"])
            column = f"{key}_difference"
            check.cell(table, row["name"], column, row[column], value)
    if theirs is None or "accuracy_difference_low" not in row:
        return
    share, low, high = computed["accuracy"], computed["accuracy_low"], computed["accuracy_high"]
    value, from_, to = theirs
    ends = (
        share - value - math.hypot(share - low, to - value),
        share - value + math.hypot(high - share, value - from_),
    )
    for end, number in zip(("low", "high"), ends, strict=True):
        column = f"accuracy_difference_{end}"
        check.cell(table, row["name"], column, row[column], number)
    column = "accuracy_difference_interval"
    check.interval(table, row["name"], column, row[column], *ends)


def _wilson(row: Row) -> tuple[float, float, float]:
    """The paper's share of right ones by its counts, with Wilson's interval."""
    right, total = int(row["tn"]) + int(row["tp"]), int(row["n"])
    hits = np.arange(total) < right
    return rate(hits, np.arange(total))


def by_class(trial: Trial) -> dict[str, float]:
    """AUC, specificity and false positives of each class of benign units; nan if not known."""
    found, parts, said = {}, strata(trial), trial.said
    for name, short in zip(BENIGN, ("benign", "without_callback"), strict=True):
        found[f"auc_{short}"] = found[f"specificity_{short}"] = found[f"fp_{short}"] = math.nan
        members = parts.get(("benign class", name))
        if members is not None:
            part, benign = subset(said, members), members & (said.labels == 0)
            called = said.probabilities[benign] > 0.5
            found[f"auc_{short}"] = area(part, part.probabilities)[0]
            found[f"specificity_{short}"] = float(1 - called.mean())
            found[f"fp_{short}"] = float(called.sum())
    return found
