"""Differences between networks, and between a network and a baseline, on the same units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from .check import Check
from .formulas import Array, Row, Said, area, difference, holm, jackknife, read, tested
from .record import Trial, baselines

_T = "differences"


def check_differences(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Compare every pair; Holm's correction is over pairs of networks, and over the others."""
    families: dict[bool, list[tuple[Row, float]]] = {True: [], False: []}
    for row in read(place / f"{_T}.csv"):
        networks, pair = bool(row["second_run"]), f"{row['first']} - {row['second']}"
        one = trials[row["first_run"]]
        if networks:
            other = trials[row["second_run"]].said.probabilities
        else:
            known = baselines(one)
            if row["second"] not in known:
                check.skip(_T, pair)  # another table of predictions
                families[networks].append((row, math.inf))
                continue
            other = known[row["second"]]
        p = _compare(check, pair, row, one.said, other)
        families[networks].append((row, p))
    for members in families.values():
        values = [p for _, p in members]
        if math.inf in values:
            continue
        for (row, _), adjusted in zip(members, holm(values), strict=True):
            check.cell(_T, f"{row['first']} - {row['second']}", "holm", row["holm"], adjusted)


def _compare(check: Check, pair: str, row: Row, said: Said, other: Array) -> float:
    """Check a row but for its adjusted p; returns the p that is adjusted."""
    own = said.probabilities
    value, low, high, p = difference(said, own, other)
    right = [(each > 0.5) == (said.labels == 1) for each in (own, other)]
    gap = right[0].astype(float) - right[1]
    variance = 0.0 if np.array_equal(*right) else jackknife(gap, said.patients)
    accuracy = tested(gap.mean(), variance, len(np.unique(said.patients)) - 1)
    alone = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    exact = binomtest(alone[0], sum(alone)).pvalue if sum(alone) else 1.0
    computed = {
        "first_auc": area(said, own)[0], "second_auc": area(said, other)[0],
        "difference": value, "low": low, "high": high, "p": p, "mcnemar": exact,
        "accuracy_difference": accuracy[0], "accuracy_low": accuracy[1],
        "accuracy_high": accuracy[2],
    }  # fmt: skip
    check.cells(_T, pair, row, computed)
    check.interval(_T, pair, "interval", row["interval"], low, high)
    check.interval(_T, pair, "accuracy_interval", row["accuracy_interval"], *accuracy[1:3])
    return p
