"""The case mix and the baselines: networks and what is no network, on the whole and on parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .check import Check
from .formulas import Array, Row, area, plain, read, subset
from .record import BASELINES, BENIGN, Trial, baselines, grouped, reported_sets, strata

NETWORKS = "networks"
"""First word of the mean of the networks in both tables."""
TITLES = {
    "the training part's commoner class": "majority",
    "crop size alone": "crop size",
    "radiologist's descriptors": "descriptors",
    "descriptors and BI-RADS assessment": "with BI-RADS",
}
"""What the table of baselines calls them."""
_COUNTS = ("n", "malignant", "patients")


@dataclass(frozen=True)
class Part:
    """Scorers on a part of a reported set."""

    counts: tuple[float, float, float]
    auc: float
    low: float
    high: float


def check_case_mix(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Each network and each baseline on each part; first the means over several sets."""
    sets = [members for members in reported_sets(list(trials.values())) if members[0].samples]
    of_run = {each.run: members for members in sets for each in members}
    for row in read(place / "case_mix.csv"):
        where = f"{row['by']} {row['stratum']} {row['scorer']}"
        if row["run_id"]:
            found = [_part(row, trials[row["run_id"]], of_run[row["run_id"]])]
        else:
            found = [_part(row, members[0], members) for members in sets]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            check.skip("case_mix", where)
            continue
        areas = [each.auc for each in known if not math.isnan(each.auc)]
        counts = np.mean([each.counts for each in known], axis=0)
        ends = (known[0].low, known[0].high) if row["run_id"] else (math.nan, math.nan)
        computed = dict(zip(_COUNTS, map(round, counts), strict=True))
        computed |= {"auc": float(np.mean(areas)) if areas else math.nan}
        computed |= {"low": ends[0], "high": ends[1]}
        check.cells("case_mix", where, row, computed)
        check.interval("case_mix", where, "interval", row["interval"], *ends)


def _part(row: Row, trial: Trial, members: Sequence[Trial]) -> Part | None:
    stratum = strata(trial).get((row["by"], plain(row["stratum"])))
    scores = _scores(row["scorer"], trial, members)
    if stratum is None or not scores:
        return None
    part = subset(trial.said, stratum)
    value, _, low, high = area(part, *(each[stratum] for each in scores))
    counts = (int(stratum.sum()), int(part.labels.sum()), len(np.unique(part.patients)))
    return Part(counts, value, low, high)


def _scores(scorer: str, trial: Trial, members: Sequence[Trial]) -> list[Array]:
    """Probabilities of a row's scorer: all networks, a baseline, or the trial's own."""
    if scorer.startswith(f"{NETWORKS}, mean"):
        return [each.said.probabilities for each in members]
    known = baselines(trial)
    title = TITLES.get(scorer, scorer)
    if title in BASELINES:
        return [known[title]] if title in known else []
    return [trial.said.probabilities]


def check_baselines(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """What needs no image, and the mean of the networks; of a split, or means over several."""
    splits = grouped(list(trials.values()), lambda each: each.row["set"])
    of_run = {each.run: members for members in splits for each in members}
    for row in read(place / "baselines.csv"):
        chosen = [of_run[row["run_id"]]] if row["run_id"] else splits
        found = [_baseline(row["scorer"], members) for members in chosen]
        known = [each for each in found if each is not None]
        if len(known) < len(found):
            check.skip("baselines", row["scorer"])
            continue
        means = {key: float(np.mean([each[key] for each in known])) for key in known[0]}
        if len(known) > 1:
            means |= {"auc_low": math.nan, "auc_high": math.nan}
        ends = means["auc_low"], means["auc_high"]
        check.cells("baselines", row["scorer"], row, means)
        check.interval("baselines", row["scorer"], "interval", row["interval"], *ends)
        sizes = [members[0].said.labels.size for members in chosen]
        range_of = (min(sizes), max(sizes)) if min(sizes) < max(sizes) else (sizes[0],)
        check.interval("baselines", row["scorer"], "n", row["n"], *range_of)


def _baseline(scorer: str, members: Sequence[Trial]) -> dict[str, float] | None:
    first = members[0]
    scores = _scores(scorer, first, members)
    if not scores:
        return None
    said = first.said
    rates = [((each > 0.5) == (said.labels == 1)).mean() for each in scores]
    found = {"accuracy": float(np.mean(rates))}
    parts = strata(first)
    columns = ("benign", "without_callback")
    if TITLES.get(scorer) == "majority":
        empty = ("auc", "auc_low", "auc_high", *columns)
        return found | dict.fromkeys(empty, math.nan)
    value, _, low, high = area(said, *scores)
    for name, column in zip(BENIGN, columns, strict=True):
        members_of = parts.get(("benign class", name))
        found[column] = math.nan
        if members_of is not None:
            part = subset(said, members_of)
            found[column] = area(part, *(each[members_of] for each in scores))[0]
    return found | {"auc": value, "auc_low": low, "auc_high": high}
