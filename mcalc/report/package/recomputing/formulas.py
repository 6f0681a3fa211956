"""The statistics of the tables, spelled out once more with numpy and scipy alone."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_expit, logit
from scipy.stats import rankdata
from scipy.stats import t as student

Array = npt.NDArray[Any]
Row = dict[str, str]


class Said:
    """What a scorer said of units: labels 0 or 1, probabilities and log odds, patients."""

    def __init__(self, rows: Sequence[Row]) -> None:
        cells = [{name: plain(cell) for name, cell in row.items()} for row in rows]
        self.ids = [row["lesion"] for row in cells]
        self.labels = np.array([int(row["malignant"]) for row in cells])
        self.probabilities = np.array([float(row["probability"]) for row in cells])
        odds = [row.get("log_odds", "") for row in cells]
        edge = np.finfo(float).eps
        self.odds = (
            np.array([float(each) for each in odds])
            if all(odds)
            else logit(np.clip(self.probabilities, edge, 1 - edge))
        )
        names = [row.get("patient", "") for row in cells]
        self.names = names if all(names) else self.ids
        self.patients = numbered(self.names)

    @property
    def both(self) -> bool:
        """Whether units of both classes are there."""
        return len(np.unique(self.labels)) == 2


def plain(cell: str) -> str:
    """A cell without the apostrophe that keeps spreadsheets from running it."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in "=+-@\t\r" else cell


def numbered(names: Any) -> Array:
    """Names as 0, 1, ..."""
    return np.unique(np.asarray(names), return_inverse=True)[1]


def read(path: Path) -> list[Row]:
    """The rows of a table; none where it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# AUC: Obuchowski, Biometrics 53 (1997) 567; Student's t on the logit scale


def influence(said: Said, scores: Array) -> tuple[float, Array, Array]:
    """Of an AUC its value, and by patient the sums over malignant and over benign units."""
    positive = said.labels == 1
    m, n = positive.sum(), (~positive).sum()
    ranks = rankdata(scores)
    above = (ranks[positive] - rankdata(scores[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(scores[~positive])) / m
    count = said.patients.max() + 1
    x = np.bincount(said.patients[positive], above - above.mean(), count)
    y = np.bincount(said.patients[~positive], below - below.mean(), count)
    return above.mean(), x, y


def area(said: Said, *scores: Array) -> tuple[float, float, float, float]:
    """AUC, or mean AUC of several scorers: value, standard error, lower and upper bound."""
    value, variance, freedom = contrast(said, scores, [1 / len(scores)] * len(scores))
    if math.isnan(value) or not (0 < value < 1 and variance > 0 and freedom > 0):
        return value, math.sqrt(abs(variance)), math.nan, math.nan
    spread = student.ppf(0.975, freedom) * math.sqrt(variance) / (value * (1 - value))
    middle = logit(value)
    return value, math.sqrt(variance), expit(middle - spread), expit(middle + spread)


def contrast(
    said: Said, scores: Sequence[Array], weights: Sequence[float]
) -> tuple[float, float, float]:
    """A weighted sum of AUCs: value, variance, degrees of freedom (Satterthwaite)."""
    positive = said.labels == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return math.nan, math.nan, 0
    parts = [influence(said, each) for each in scores]
    by = np.asarray(weights)
    value = float(by @ np.array([part[0] for part in parts]))
    x, y = (by @ np.array([part[side] for part in parts]) for side in (1, 2))
    of_x, of_y = (len(np.unique(said.patients[side])) for side in (positive, ~positive))
    if min(of_x, of_y) < 2:
        return value, math.nan, 0
    both = len(np.unique(said.patients))
    variance = (
        of_x / (of_x - 1) * (x @ x) / m**2
        + of_y / (of_y - 1) * (y @ y) / n**2
        + both / (both - 1) * 2 * (x @ y) / (m * n)
    )
    squares = (x / m + y / n) ** 2
    spread = (squares**2).sum() - squares.sum() ** 2 / squares.size
    satterthwaite = 2 * squares.sum() ** 2 / spread if spread > 0 else math.inf
    return value, float(variance), float(min(of_x - 1, of_y - 1, satterthwaite))


def difference(said: Said, first: Array, second: Array) -> tuple[float, float, float, float]:
    """Difference of two AUCs, its bounds and p."""
    if np.array_equal(first, second):
        return 0.0, math.nan, math.nan, 1.0
    value, variance, freedom = contrast(said, [first, second], [1.0, -1.0])
    return tested(value, variance, freedom)


def tested(value: float, variance: float, freedom: float) -> tuple[float, float, float, float]:
    """A difference with its bounds and p, by Student's t."""
    if variance == 0 and value == 0:
        return value, math.nan, math.nan, 1.0
    if not variance > 0 or freedom < 1:
        return value, math.nan, math.nan, math.nan
    error = math.sqrt(variance)
    spread = student.ppf(0.975, freedom) * error
    p = 2 * student.sf(abs(value) / error, freedom)
    return value, max(-1, value - spread), min(1, value + spread), p


# rates: Wilson's interval of n divided by the design effect (jackknife over patients)


def jackknife(values: Array, patients: Array) -> float:
    """Variance of a mean, from the means without one patient each."""
    count = np.bincount(patients)
    sums = np.bincount(patients, values)
    kept = count > 0
    count, sums = count[kept], sums[kept]
    if count.size < 2:
        return math.nan
    without = (values.sum() - sums) / (values.size - count)
    return float((count.size - 1) / count.size * ((without - values.mean()) ** 2).sum())


def rate(hits: Array, patients: Array) -> tuple[float, float, float]:
    """Share of hits, lower and upper bound."""
    n = hits.size
    if not n:
        return math.nan, math.nan, math.nan
    share = hits.mean()
    patients = numbered(patients)
    sizes = np.bincount(patients)
    clusters = sizes.size
    effect, freedom = 1.0, math.inf
    if clusters < n:
        freedom = max(1, clusters - 1)
        alike = (sizes**2).sum() / n
        effect = alike
        if 0 < share < 1 and clusters > 1:
            found = jackknife(hits.astype(float), patients) / (share * (1 - share) / (n - 1))
            k = len(np.unique(patients[hits if share < 0.5 else ~hits]))
            effect = (k * max(1.0, found) + alike) / (k + 1)
    z, size = student.ppf(0.975, freedom), n / effect
    scale = 1 + z * z / size
    middle = (share + z * z / (2 * size)) / scale
    spread = z / scale * math.sqrt(share * (1 - share) / size + (z / (2 * size)) ** 2)
    low = 0.0 if share == 0 else max(0.0, middle - spread)
    return share, low, 1.0 if share == 1 else min(1.0, middle + spread)


def scores_of(said: Said, called: Array | None = None) -> dict[str, float]:
    """Counts, rates and AUC of a scorer's predictions."""
    positive = said.labels == 1
    called = said.probabilities > 0.5 if called is None else called
    found: dict[str, float] = {
        "n": said.labels.size,
        "tn": int((~positive & ~called).sum()),
        "fn": int((positive & ~called).sum()),
        "tp": int((positive & called).sum()),
        "fp": int((~positive & called).sum()),
    }
    among = {
        "accuracy": np.ones(positive.size, dtype=bool),
        "recall": positive,
        "precision": called,
        "specificity": ~positive,
        "f_measure": positive | called,
    }
    for name, which in among.items():
        three = rate((positive == called)[which], said.patients[which])
        for ending, value in zip(("", "_low", "_high"), three, strict=True):
            # the F-measure is 2 J / (1 + J) of this share J
            found[name + ending] = 2 * value / (1 + value) if name == "f_measure" else value
    names = ("auc", "auc_se", "auc_low", "auc_high")
    return found | dict(zip(names, area(said, said.probabilities), strict=True))


def holm(values: Sequence[float]) -> list[float]:
    """p values adjusted for how many there are; nan is none (Holm 1979)."""
    known = sorted((p, place) for place, p in enumerate(values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(values), 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted


# what is fixed on the units that stopped training, and judged on those reported


SENSITIVITY = 0.90
"""Least that the operating point `sensitivity` asks for."""


def threshold(validation: Said, operating_point: str) -> float:
    """Log odds half way between the least that is called malignant and the next below.

    `youden`: the largest sum of sensitivity and specificity. `sensitivity`: the largest specificity
    at a sensitivity of at least 0.90. Of several that are as good, that of the highest sensitivity.
    """
    levels, sensitivity, specificity = curve(validation)
    if operating_point == "sensitivity":
        good = np.where(sensitivity >= SENSITIVITY - 1e-12, specificity, -1)
    else:
        good = sensitivity + specificity
    best = int(np.flatnonzero(good >= good.max() - 1e-12)[-1])
    if best == 0:
        return math.inf
    return (levels[best] + levels[best + 1]) / 2 if best + 1 < levels.size else -math.inf


def curve(said: Said) -> tuple[Array, Array, Array]:
    """Levels of log odds from infinity down, and sensitivity and specificity at or above each."""
    levels = np.concatenate([[math.inf], np.unique(said.odds)[::-1]])
    positive = said.labels == 1
    found = np.array([_rates(said.odds >= level, positive) for level in levels])
    return levels, found[:, 0], found[:, 1]


def _rates(called: Array, positive: Array) -> tuple[float, float]:
    return called[positive].mean(), 1 - called[~positive].mean()


def sensitivity_at(said: Said, least: float) -> float:
    """The highest sensitivity of all levels with so high a specificity; nan without a class."""
    if not said.both:
        return math.nan
    _, sensitivity, specificity = curve(said)
    return float(sensitivity[specificity >= least - 1e-12].max())


def apart(labels: Array, odds: Array) -> bool:
    """Whether the log odds tell the classes apart."""
    bad, good = odds[labels == 1], odds[labels == 0]
    return bool(bad.min() >= good.max() or bad.max() <= good.min())


def temperature(validation: Said) -> float:
    """What log odds are divided by: the least log loss; nan where no value is the best."""
    if apart(validation.labels, validation.odds):
        return math.nan
    signs = np.where(validation.labels == 1, 1, -1)

    def loss(log_scale: Array) -> float:
        return float(-log_expit(signs * validation.odds * math.exp(log_scale[0])).mean())

    found = minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15})
    by = math.exp(-found.x[0])
    return by if 1e-3 < by < 1e3 else math.nan


def calibration(labels: Array, odds: Array) -> tuple[float, float, float]:
    """Brier score; slope and intercept of a logistic regression on the log odds."""
    brier = ((expit(odds) - labels) ** 2).mean()
    if len(np.unique(labels)) < 2:
        return brier, math.nan, math.nan
    slope = math.nan
    if not apart(labels, odds):
        # Newton's method on odds of mean 0 and SD 1, as theirs may lie close together
        inputs = np.stack([np.ones(odds.size), (odds - odds.mean()) / odds.std()], axis=1)
        weights = np.zeros(2)
        for _ in range(100):
            p = expit(inputs @ weights)
            curvature = inputs.T @ (inputs * (p * (1 - p))[:, None])
            weights = weights + np.linalg.solve(curvature, inputs.T @ (labels - p))
        slope = float(weights[1] / odds.std())
    reach = np.abs(odds).max() + 50
    shift = brentq(lambda a: expit(odds + a).sum() - labels.sum(), -reach, reach)
    return brier, slope, shift


def subset(said: Said, kept: Array) -> Said:
    """The units that are kept."""
    part = object.__new__(Said)
    part.ids = [each for each, keep in zip(said.ids, kept, strict=True) if keep]
    part.labels, part.probabilities = said.labels[kept], said.probabilities[kept]
    part.names = [each for each, keep in zip(said.names, kept, strict=True) if keep]
    part.odds, part.patients = said.odds[kept], numbered(said.patients[kept])
    return part


def joined(parts: Sequence[Said]) -> Said:
    """Units of several networks as one set; their order, from 0 to 1, as probabilities."""
    whole = object.__new__(Said)
    whole.ids = [each for part in parts for each in part.ids]
    whole.names = [each for part in parts for each in part.names]
    whole.labels = np.concatenate([part.labels for part in parts])
    whole.odds = np.concatenate([part.odds for part in parts])
    whole.probabilities = rankdata(whole.odds) / whole.odds.size
    whole.patients = numbered(whole.names)
    return whole
