"""Parts of the lesions that are easier or harder than others, from what a record knows of each.

One AUC over all hides the task: lesions that were benign without a callback are the easiest to tell
from malignant ones, and how many of them a set has decides its AUC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcalc.config import UnitScore
from mcalc.data.splits import by_unit
from mcalc.iteration import grouped
from mcalc.results import Evidence, Predictions

_BENIGN = "BENIGN"
_PREFIX = "probability_"
_DESCRIPTIONS = {
    "density": "density",
    "view": "view",
    "type": "calc_type",
    "subtlety": "subtlety",
}
"""What strata are by -> the column of samples.csv."""


@dataclass(frozen=True)
class Stratum:
    """Some of the scoring units."""

    by: str
    """What they have in common: `benign class`, `density`, `view`, ..."""
    value: str
    """Its value."""
    members: npt.NDArray[np.bool_]
    """Of each unit whether it is one; shape (n,)."""


def strata_of(predictions: Predictions, evidence: Sequence[Evidence]) -> list[Stratum]:
    """Every stratum of the units predicted.

    Those by class of benign lesions have all malignant units beside the benign ones of one class: a
    unit with benign lesions of both counts as BENIGN. The others are by density, view, type of
    calcification and subtlety; a unit whose lesions differ is in each of their strata. A value that
    is not known is `unknown`.

    Args:
        predictions: by unit.
        evidence: of their lesions, at least one each; those of other units are not looked at.
    """
    return [
        *benign_classes(predictions, evidence),
        *_by_description(_of_units(predictions, evidence)),
    ]


def benign_classes(predictions: Predictions, evidence: Sequence[Evidence]) -> list[Stratum]:
    """The strata by class of benign lesions alone: both classes, or none where one is absent.

    Args:
        predictions: by unit.
        evidence: as `strata_of`; empty where nothing is known, which gives no stratum.
    """
    if not evidence:
        return []
    return [*_by_benign_class(predictions, _of_units(predictions, evidence))]


def baselines_of(
    predictions: Predictions, evidence: Sequence[Evidence], how: UnitScore
) -> dict[str, npt.NDArray[np.float64]]:
    """Each baseline's probability of malignant of the units predicted; shape (n,).

    Args:
        predictions: by unit.
        evidence: of the lesions of those units, from one subset.
        how: how a unit's probability comes from those of its lesions.
    """
    if not evidence:
        return {}
    wanted = set(predictions.ids)
    rows = [each for each in evidence if each.unit in wanted]
    units = [each.unit for each in rows]
    labels = [int(each.known["malignant"]) for each in rows]
    found = {}
    for column in rows[0].known:
        if column.startswith(_PREFIX):
            scored = by_unit(units, labels, [float(each.known[column]) for each in rows], how)
            place = {unit: i for i, unit in enumerate(scored.ids)}
            order = [place[unit] for unit in predictions.ids]
            found[column.removeprefix(_PREFIX)] = scored.probabilities[order]
    return found


def _of_units(
    predictions: Predictions, evidence: Sequence[Evidence]
) -> list[list[Mapping[str, str]]]:
    """Of each unit predicted, what is known of its lesions."""
    lesions = grouped(evidence, lambda each: each.unit)
    return [[each.known for each in lesions[unit]] for unit in predictions.ids]


def _by_benign_class(
    predictions: Predictions, of_unit: Sequence[Sequence[Mapping[str, str]]]
) -> Iterator[Stratum]:
    malignant = predictions.labels == 1
    pathologies = [{lesion["pathology"] for lesion in lesions} for lesions in of_unit]
    plain = np.array([_BENIGN in found for found in pathologies], dtype=bool) & ~malignant
    without = ~malignant & ~plain
    if plain.any() and without.any():
        yield Stratum("benign class", _BENIGN, malignant | plain)
        yield Stratum("benign class", "BENIGN_WITHOUT_CALLBACK", malignant | without)


def _by_description(of_unit: Sequence[Sequence[Mapping[str, str]]]) -> Iterator[Stratum]:
    for by, column in _DESCRIPTIONS.items():
        values = [
            {value for lesion in lesions for value in lesion[column].split(";")}
            for lesions in of_unit
        ]
        known = sorted(set().union(*values) - {""})
        if not known:
            continue
        for value in [*known, ""]:
            members = np.array([value in found for found in values], dtype=bool)
            if members.any():
                yield Stratum(by, value or "unknown", members)
