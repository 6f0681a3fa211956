"""The trials of the archive, read from its files, and how they belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from .formulas import Array, Row, Said, area, plain, read

DESCRIPTIONS = {
    "density": "density", "view": "view", "type": "calc_type", "subtlety": "subtlety",
}  # fmt: skip
"""What parts of the units are by -> the column of samples.csv."""
BENIGN = ("BENIGN", "BENIGN_WITHOUT_CALLBACK")
"""Classes of benign units."""
BASELINES = {
    "crop size": "probability_size",
    "descriptors": "probability_descriptors",
    "with BI-RADS": "probability_descriptors_assessment",
    "majority": "probability_majority",
}
"""What is no network -> the column of samples.csv."""
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Trial:
    """A run: what its network said, and what is known of the units and of the split."""

    row: Row
    """Of trials.csv."""
    said: Said
    validation: Said | None
    """Units that stopped training, where they are not reported."""
    samples: Sequence[Row]
    """Of samples.csv."""

    @property
    def run(self) -> str:
        """Its id."""
        return self.row["run_id"]

    @property
    def can_choose(self) -> bool:
        """Whether anything can be fixed on its validation."""
        return self.validation is not None and self.validation.both

    @property
    def validation_auc(self) -> float:
        """By which trials are ranked."""
        assert self.validation is not None
        return area(self.validation, self.validation.probabilities)[0]

    @property
    def auc(self) -> float:
        """On the units reported."""
        return area(self.said, self.said.probabilities)[0]

    @property
    def tested_by_trained(self) -> float:
        """Units reported by units trained on."""
        return float(self.row["tested_by_trained"])

    @property
    def right(self) -> Array:
        """Which units are called rightly at 0.5."""
        called: Array = self.said.probabilities > 0.5
        right: Array = called == (self.said.labels == 1)
        return right


def read_trials(place: Path) -> dict[str, Trial]:
    """Run id -> trial, in the order of trials.csv."""
    found = {}
    for row in read(place / "trials.csv"):
        folder = place / "trials" / row["run_id"]
        validation = read(folder / "validation.csv")
        found[row["run_id"]] = Trial(
            row,
            Said(read(folder / "predictions.csv")),
            Said(validation) if validation else None,
            read(folder / "samples.csv"),
        )
    return found


def grouped(items: Sequence[_T], key: Callable[[_T], Hashable]) -> list[list[_T]]:
    """Items of one key together, in order of appearance."""
    found: dict[Hashable, list[_T]] = defaultdict(list)
    for each in items:
        found[key(each)].append(each)
    return list(found.values())


def configurations(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials that differ in nothing but seed or fold."""
    return grouped(trials, lambda each: each.row["group"])


def baselines(trial: Trial) -> dict[str, Array]:
    """Each baseline's probability of the units reported."""
    found = {}
    for title, column in BASELINES.items():
        values: dict[str, list[float]] = defaultdict(list)
        for row in trial.samples:
            if row["subset"] == "reported" and row.get(column):
                values[plain(row["unit"])].append(float(row[column]))
        if all(each in values for each in trial.said.ids):
            joint = np.max if trial.row["unit_score"] == "max" else np.mean
            found[title] = np.array([joint(values[each]) for each in trial.said.ids])
    return found


def reported_sets(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials that report the same units, with the same baselines."""

    def key(trial: Trial) -> Hashable:
        known = {title: each.tobytes() for title, each in baselines(trial).items()}
        return tuple(trial.said.ids), tuple(known.items())

    return grouped(trials, key)


def strata(trial: Trial) -> dict[tuple[str, str], Array]:
    """By what and which value -> which units: one is in the stratum of each of its lesions."""
    lesions: dict[str, list[Row]] = defaultdict(list)
    for row in trial.samples:
        if row["subset"] == "reported":
            lesions[plain(row["unit"])].append(row)
    said = trial.said
    if not all(each in lesions for each in said.ids):
        return {}
    positive = said.labels == 1
    names = [{row["pathology"] for row in lesions[each]} for each in said.ids]
    called_back = np.array(["BENIGN" in each for each in names]) & ~positive
    without = ~positive & ~called_back
    found = {("all", "all"): np.ones(positive.size, dtype=bool)}
    if called_back.any() and without.any():
        for name, benign in zip(BENIGN, (called_back, without), strict=True):
            found["benign class", name] = positive | benign
    for by, column in DESCRIPTIONS.items():
        values = [
            {value for row in lesions[each] for value in plain(row[column]).split(";")}
            for each in said.ids
        ]
        for value in sorted(set().union(*values)):
            found[by, value or "unknown"] = np.array([value in each for each in values])
    return found


def ranks(trials: Sequence[Trial]) -> dict[str, int]:
    """Run id -> rank by validation AUC, equal ones share the better.

    Where trials were validated on other units, configurations are ranked, by their mean over the
    seeds and folds that all of them have.
    """
    known = [each for each in trials if each.can_choose]
    if len(known) < 2:
        return {}
    if len({tuple(each.validation.ids) for each in known if each.validation}) < 2:
        places = _ranked([each.validation_auc for each in known])
        return {each.run: rank for each, rank in zip(known, places, strict=True)}
    whole = configurations(known)
    shared = set.intersection(*({one.row["block"] for one in each} for each in whole))
    if not shared or len(whole) < 2:
        return {}
    means = [
        float(np.mean([one.validation_auc for one in each if one.row["block"] in shared]))
        for each in whole
    ]
    return {one.run: rank for each, rank in zip(whole, _ranked(means), strict=True) for one in each}


def _ranked(areas: Sequence[float]) -> list[int]:
    # equal ones may differ by what rounding leaves
    return [1 + sum(other > each + 1e-12 for other in areas) for each in areas]
