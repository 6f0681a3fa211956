"""The same rows under protocols that leak less and less, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .check import Check
from .formulas import Array, read, tested
from .record import Trial, grouped

_T = "discipline"


def check_discipline(check: Check, place: Path, trials: Mapping[str, Trial]) -> None:
    """Compare means over rows and seeds, and each step to the protocol above."""
    rows = read(place / f"{_T}.csv")
    known = {
        members[0].row["protocol"]: {(one.row["same"], one.row["seed"]): one for one in members}
        for members in grouped(list(trials.values()), lambda each: each.row["protocol"])
    }
    chosen = [known[row["protocol"]] for row in rows]
    above: list[Trial] = []
    for row, of_protocol in zip(rows, chosen, strict=True):
        name = row["protocol"]
        mine = [t for key, t in of_protocol.items() if all(key in other for other in chosen)]
        rates, areas = _by_seed(mine)
        spread = float(np.std(areas, ddof=1)) if areas.size > 1 else math.nan
        means = {"accuracy": float(rates.mean()), "auc": float(areas.mean()), "auc_sd": spread}
        check.cells(_T, name, row, means | {"runs": float(len(mine))})
        rate_step = area_step = (math.nan,) * 4
        if above:
            before = _by_seed(above)
            share = max(_overlap(mine), _overlap(above))
            rate_step, area_step = _step(before[0], rates, share), _step(before[1], areas, share)
        check.cell(_T, name, "accuracy_step", row["accuracy_step"], rate_step[0])
        check.interval(_T, name, "accuracy_interval", row["accuracy_interval"], *rate_step[1:3])
        check.cell(_T, name, "auc_step", row["auc_step"], area_step[0])
        check.interval(_T, name, "auc_interval", row["auc_interval"], *area_step[1:3])
        check.cell(_T, name, "p", row["p"], area_step[3])
        above = mine


def _by_seed(trials: Sequence[Trial]) -> tuple[Array, Array]:
    """Of each seed the mean accuracy and the mean AUC over the rows."""
    groups = grouped(sorted(trials, key=lambda t: t.row["seed"]), lambda each: each.row["seed"])
    rates = [np.mean([one.right.mean() for one in each]) for each in groups]
    return np.array(rates), np.array([np.mean([one.auc for one in each]) for each in groups])


def _overlap(trials: Sequence[Trial]) -> float:
    several = len({each.row["split"] for each in trials}) > 1
    return trials[0].tested_by_trained if several else 0.0


def _step(before: Array, after: Array, share: float) -> tuple[float, float, float, float]:
    """Mean difference over seeds, its bounds and p (Nadeau and Bengio 2003)."""
    each = after - before
    variance = float(each.var(ddof=1)) * (1 / each.size + share) if each.size > 1 else math.nan
    return tested(float(each.mean()), variance, each.size - 1)
