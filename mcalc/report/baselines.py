"""Baselines without an image, scored on the same split, beside the mean of the networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from mcalc.evaluation import Stratum, benign_classes
from mcalc.report.case_mix import BENIGN_CLASSES, mean_area
from mcalc.report.cautions import names, units_of
from mcalc.report.formats import NOT_RUN, RUN, Column, Table, interval_cell, number_cell, numbers
from mcalc.report.recorded import reported_baselines, reported_evidence
from mcalc.results import Predictions, RecordedTrial

_ROWS = (
    ("the training part's commoner class", "majority"),
    ("crop size alone", "size"),
    ("radiologist's descriptors", "descriptors"),
    ("descriptors and BI-RADS assessment", "descriptors_assessment"),
)
"""What is scored -> the first part of its recorded metrics' names."""

_SCORES = ("auc", "auc_low", "auc_high", "accuracy")

_NETWORKS = "networks"
_MOST_SPLITS = 4
"""With more, as of a cross-validation, the means over the splits are shown in place of each."""


@dataclass(frozen=True)
class _Score:
    """One row of one split; nan where a number is not known."""

    title: str
    auc: float
    low: float
    high: float
    by_class: tuple[float, float]
    """AUC against each of `BENIGN_CLASSES`."""
    accuracy: float


def baselines_table(trials: Sequence[RecordedTrial]) -> Table:
    """The block `Baselines on the same split`: four baselines and the networks a split.

    The baselines' numbers are those recorded; the networks' are computed from their predictions.
    Trials on different splits have separate rows.
    """
    splits = by_split(trials)
    scores = [_of_split(members) for members in splits]
    sizes = [members[0].predictions.labels.size for members in splits]
    if len(splits) > _MOST_SPLITS:
        whose = f"mean over {len(splits)} splits"
        rows = [(*row, whose, "") for row in _means(scores, sizes, len(trials))]
    else:
        rows = [
            (*row, names(one, trials), one[0].run_id)
            for one, score, size in zip(splits, scores, sizes, strict=True)
            for row in _means([score], [size], len(one))
        ]
    notes = [
        "Baselines are logistic regressions fitted on the training part; none reads a pixel. The "
        "descriptors are calcification type and distribution, breast density and subtlety.",
        "A network has learnt something from the image only where its AUC is above that of the "
        "crop's size; the table of differences tests it. The mean of the networks has the "
        "interval of a mean over the same lesions.",
        "Against BENIGN and against BENIGN_WITHOUT_CALLBACK (w/o c.): all malignant lesions and "
        "the benign ones of that class.",
    ]
    if any(not trial.evidence for trial in trials):
        notes.append(
            "A record without the lesions' descriptors is older than they are: its baselines are "
            "as recorded, their intervals take lesions as independent, and its case mix is not "
            "known."
        )
    unknown = {trial.metrics.get("size_unknown", 0.0) for trial in trials} - {0.0}
    if unknown:
        notes.append(
            f"The crop's size is unknown for up to {max(unknown):.0f} reported lesions, which the "
            "size baseline gives the training part's share of malignant ones."
        )
    if any("descriptors_auc" not in trial.metrics for trial in trials):
        notes.append(
            f"{NOT_RUN}: the data lacks what the baseline needs, or the record is older than it."
        )
    return Table(
        title=f"Baselines on the same split (scored: {units_of(trials)})",
        columns=(
            Column("scorer", "Scorer", text=True),
            *numbers(auc="AUC", interval="95%"),
            *numbers(csv_only=True, auc_low="95% from", auc_high="95% to"),
            *numbers(benign="AUC BENIGN", without_callback="AUC w/o c."),
            *numbers(accuracy="Accuracy", n="n"),
            Column("trials", "Trials", text=True),
            RUN,
        ),
        rows=tuple(rows),
        notes=tuple(notes) if trials else (),
    )


def by_split(trials: Sequence[RecordedTrial]) -> list[list[RecordedTrial]]:
    """Trials whose reported set and baselines are the same."""
    groups: dict[tuple[object, ...], list[RecordedTrial]] = {}
    for trial in trials:
        recorded = tuple(
            trial.metrics.get(f"{prefix}_{score}") for _, prefix in _ROWS for score in _SCORES
        )
        key = (trial.tags.get("mcalc.split"), trial.predictions.ids, recorded)
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def _of_split(members: Sequence[RecordedTrial]) -> list[_Score]:
    """Every baseline and the mean of the networks on one reported set."""
    first = members[0]
    known = reported_baselines(first)
    strata = benign_classes(first.predictions, reported_evidence(first))
    found = []
    for title, name in _ROWS:
        if name in known and name != "majority":
            found.append(_score(title, first.predictions, known[name][None], strata))
            continue
        area, low, high, right = (
            first.metrics.get(f"{name}_{score}", math.nan) for score in _SCORES
        )
        found.append(_Score(title, area, low, high, (math.nan, math.nan), right))
    networks = np.array([trial.predictions.probabilities for trial in members])
    found.append(_score(_NETWORKS, first.predictions, networks, strata))
    return found


def _score(
    title: str,
    predictions: Predictions,
    scores: npt.NDArray[np.float64],
    strata: Sequence[Stratum],
) -> _Score:
    """The mean of scorers, (k, n), of the same units."""
    labels, patients = predictions.labels, predictions.patients or None
    area, low, high = mean_area(labels, scores, patients)
    of_class = {
        each.value: mean_area(labels[each.members], scores[:, each.members], None)[0]
        for each in strata
    }
    by_class = tuple(of_class.get(name, math.nan) for name in BENIGN_CLASSES)
    right = float(np.mean((scores > 0.5) == (labels == 1)))
    return _Score(title, area, low, high, (by_class[0], by_class[1]), right)


def _means(
    splits: Sequence[Sequence[_Score]], sizes: Sequence[int], networks: int
) -> list[tuple[str, ...]]:
    """The rows of one split, or means over several, each of one weight.

    Means over splits have no interval: that of one split would not be theirs.
    """
    n = f"{min(sizes)}–{max(sizes)}" if min(sizes) < max(sizes) else f"{sizes[0]}"
    rows = []
    for same in zip(*splits, strict=True):
        ends = (same[0].low, same[0].high) if len(same) == 1 else (math.nan, math.nan)
        title = same[0].title + f", mean of {networks}" * (same[0].title == _NETWORKS)
        area = fmean(each.auc for each in same)
        values = (
            *ends,
            *(fmean(each.by_class[i] for each in same) for i in (0, 1)),
            fmean(each.accuracy for each in same),
        )
        rows.append(
            (
                title,
                number_cell(area, 3),
                interval_cell(*ends),
                *(number_cell(value, 3) for value in values),
                n,
            )
        )
    return rows
