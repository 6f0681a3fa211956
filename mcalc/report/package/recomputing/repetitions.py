"""Configurations over seeds and folds: means, pooled folds, ranks and differences by block."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from .check import Check
from .formulas import Row, area, holm, joined, read, tested
from .record import Trial, configurations, grouped

_SEVERAL = "repetitions"
_BLOCKED = "blocked"


def check_repetitions(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Mean and SD of each configuration, its pooled folds, and its ranks within blocks."""
    several = _repeated(trials)
    ranks = _ranks(several)
    for row in read(place / f"{_SEVERAL}.csv"):
        group = trials[row["run_id"]].row["group"]
        members = several[group]
        rates = [float(each.right.mean()) for each in members]
        areas = [each.auc for each in members]
        own = ranks.get(group, [])
        value, low, high = _pooled(members)
        computed = {
            "runs": float(len(members)),
            "accuracy": float(np.mean(rates)), "accuracy_sd": float(np.std(rates, ddof=1)),
            "auc": float(np.mean(areas)), "auc_sd": float(np.std(areas, ddof=1)),
            "pooled": value, "rank": float(np.mean(own)) if own else math.nan,
        }  # fmt: skip
        check.cells(_SEVERAL, row["name"], row, computed)
        cell, ends = row["pooled_interval"], (low, high)
        check.interval(_SEVERAL, row["name"], "pooled_interval", cell, *ends)
        ends = (min(own), max(own)) if own else (math.nan, math.nan)
        check.interval(_SEVERAL, row["name"], "ranks", row["ranks"], *ends)


def check_blocked(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Differences of two configurations within the blocks that both have."""
    several = _repeated(trials)
    rows = {
        (trials[row["first_run"]].row["group"], trials[row["second_run"]].row["group"]): row
        for row in read(place / f"{_BLOCKED}.csv")
    }
    found: list[tuple[Row, float]] = []
    for pair in itertools.combinations(several, 2):
        one, other = ({each.row["block"]: each for each in several[name]} for name in pair)
        shared = [block for block in one if block in other]
        if len(shared) < 2:
            continue
        row = rows.get(pair)
        if row is None:
            check.cell(_BLOCKED, " - ".join(pair), "blocks", "", len(shared))
            return
        name = f"{row['first']} - {row['second']}"
        each = np.array([one[block].auc - other[block].auc for block in shared])
        computed = {"blocks": float(len(shared)), "difference": float(each.mean())}
        check.cells(_BLOCKED, name, row, computed)
        share = _overlap([one[block] for block in shared])
        variance = float(each.var(ddof=1)) * (1 / each.size + share)
        _, low, high, p = tested(float(each.mean()), variance, each.size - 1)
        check.cells(_BLOCKED, name, row, {"p": p, "low": low, "high": high})
        check.interval(_BLOCKED, name, "interval", row["interval"], low, high)
        found.append((row, p))
    for (row, _), adjusted in zip(found, holm([p for _, p in found]), strict=True):
        name = f"{row['first']} - {row['second']}"
        check.cell(_BLOCKED, name, "holm", row["holm"], adjusted)


def _repeated(trials: Mapping[str, Trial]) -> dict[str, list[Trial]]:
    """Configurations with more than one seed or fold, by their number."""
    return {
        members[0].row["group"]: members
        for members in configurations(list(trials.values()))
        if len({each.row["block"] for each in members}) > 1
    }


def _ranks(several: Mapping[str, Sequence[Trial]]) -> dict[str, list[float]]:
    """Ranks by AUC within the blocks that all configurations have; 1 the best, ties shared."""
    blocks = [{each.row["block"]: each.auc for each in members} for members in several.values()]
    shared = set.intersection(*map(set, blocks)) if blocks else set()
    if len(several) < 2 or len(shared) < 2:
        return {}
    scores = np.array([[each[block] for each in blocks] for block in sorted(shared)])
    # equal ones may differ by what rounding leaves
    ranks = rankdata(-scores.round(12), axis=1)
    return {name: ranks[:, place].tolist() for place, name in enumerate(several)}


def _pooled(members: Sequence[Trial]) -> tuple[float, float, float]:
    """AUC of all folds of one partition as one set, and its interval; nan where one is missing."""
    folds = [each for each in members if each.row["folds"]]
    wanted = {each.row["folds"] for each in folds}
    if len(wanted) == 1:
        for same in grouped(folds, lambda each: each.row["partition"]):
            if len({each.row["fold"] for each in same}) == len(same) == int(next(iter(wanted))):
                whole = joined([each.said for each in same])
                value, _, low, high = area(whole, whole.probabilities)
                return value, low, high
    return math.nan, math.nan, math.nan


def _overlap(members: Sequence[Trial]) -> float:
    """How far blocks have the same units; 0 on one split."""
    one_split = len({each.row["split"] for each in members}) == 1
    return 0.0 if one_split else members[0].tested_by_trained
