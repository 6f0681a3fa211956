"""Baselines without an image, scored on the same split, beside the mean of the networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from mcalc.evaluation import Confusion, auc
from mcalc.report.cautions import names, units_of
from mcalc.report.formats import NOT_RUN, Column, Table, number_cell, numbers
from mcalc.results import RecordedTrial

_ROWS = (
    ("the training part's commoner class", "majority"),
    ("crop size alone", "size"),
    ("radiologist's descriptors", "descriptors"),
    ("descriptors and BI-RADS assessment", "descriptors_assessment"),
)
"""What is scored -> the first part of its recorded metrics' names."""

_SCORES = ("auc", "auc_low", "auc_high", "accuracy")

_MOST_SPLITS = 4
"""With more, as of a cross-validation, the means over the splits are shown in place of each."""


def baselines_table(trials: Sequence[RecordedTrial]) -> Table:
    """The block `Baselines on the same split`: four baselines and the networks a split.

    The baselines' numbers are those recorded; the networks' are computed from their predictions.
    Trials on different splits have separate rows.
    """
    splits = _by_split(trials)
    if len(splits) > _MOST_SPLITS:
        rows = _rows(splits, f"mean over {len(splits)} splits")
    else:
        rows = [row for one in splits for row in _rows([one], names(one, trials))]
    notes = [
        "Baselines are logistic regressions fitted on the training part; none reads a pixel. The "
        "descriptors are calcification type and distribution, breast density and subtlety.",
        "A network has learnt something from the image only where its AUC is above that of the "
        "crop's size. Intervals are 95 %, DeLong.",
    ]
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
            *numbers(auc="AUC", auc_low="95% from", auc_high="95% to", accuracy="Accuracy", n="n"),
            Column("trials", "Trials", text=True),
        ),
        rows=tuple(rows),
        notes=tuple(notes) if trials else (),
    )


def _by_split(trials: Sequence[RecordedTrial]) -> list[list[RecordedTrial]]:
    """Trials whose reported set and baselines are the same."""
    groups: dict[tuple[object, ...], list[RecordedTrial]] = {}
    for trial in trials:
        recorded = tuple(
            trial.metrics.get(f"{prefix}_{score}") for _, prefix in _ROWS for score in _SCORES
        )
        key = (trial.tags.get("mcalc.split"), trial.predictions.ids, recorded)
        groups.setdefault(key, []).append(trial)
    return list(groups.values())


def _rows(splits: Sequence[Sequence[RecordedTrial]], whose: str) -> list[tuple[str, ...]]:
    """The rows of one split, or means over several, each of one weight.

    Means have no interval: that of one split would not be theirs.
    """
    sizes = [members[0].predictions.labels.size for members in splits]
    n = f"{min(sizes)}–{max(sizes)}" if min(sizes) < max(sizes) else f"{sizes[0]}"
    rows: list[tuple[str, ...]] = []
    for title, prefix in _ROWS:
        area, low, high, right = (
            fmean(members[0].metrics.get(f"{prefix}_{score}", math.nan) for members in splits)
            for score in _SCORES
        )
        ends = (low, high) if len(splits) == 1 else (math.nan, math.nan)
        rows.append((title, *(number_cell(value, 3) for value in (area, *ends, right)), n, whose))
    each = [_networks(members) for members in splits]
    area, right = (fmean(scores[place] for scores in each) for place in (0, 1))
    trials = sum(len(members) for members in splits)
    cells = (number_cell(area, 3), NOT_RUN, NOT_RUN, number_cell(right, 3))
    return [*rows, (f"networks, mean of {trials}", *cells, n, whose)]


def _networks(trials: Sequence[RecordedTrial]) -> tuple[float, float]:
    """Mean AUC and accuracy of trials, from their predictions."""
    each = [trial.predictions for trial in trials]
    area = fmean(auc(one.labels, one.probabilities) for one in each)
    return area, fmean(Confusion.of(one).accuracy for one in each)
