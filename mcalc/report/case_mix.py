"""AUCs by what the lesions are: a whole has one AUC, its parts have very different ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcalc.evaluation import Stratum, area_interval, areas, benign_classes, strata_of
from mcalc.evaluation.clustered import Patients
from mcalc.report.cautions import names
from mcalc.report.comparisons import BASELINE_TITLES, by_reported_set
from mcalc.report.formats import RUN, Column, Table, interval_cell, mean, number_cell, numbers
from mcalc.report.recorded import reported_baselines, reported_evidence
from mcalc.results import Predictions, RecordedTrial

LEAST = 10
"""Units that a stratum needs to be shown; the CSV file has every stratum."""
NONE_SHOWN = f"No part has {LEAST}: all are in the CSV file."
IN_THE_CSV = f"Parts of fewer than {LEAST}, and each network by itself, are in the CSV file."
BENIGN_CLASSES = ("BENIGN", "BENIGN_WITHOUT_CALLBACK")
_NETWORKS = "networks, mean"


@dataclass(frozen=True)
class StratumScore:
    """One scorer on one stratum."""

    stratum: Stratum
    scorer: str
    n: int
    malignant: int
    patients: int
    """0 where they are not recorded."""
    auc: float
    low: float
    high: float
    run_id: str
    """Of a network; of what joins several, or is none, the first that reports these units."""


def case_mix_table(trials: Sequence[RecordedTrial]) -> Table | None:
    """The mean of the networks and each baseline on every stratum of a reported set.

    None where no trial's record knows its lesions (an older one), or no trial is recorded.
    """
    sets = [members for members in by_reported_set(trials) if members[0].evidence]
    if not sets:
        return None
    shown = [_scores(members) for members in sets]
    rows = [_cells(score, "") for score in _mean_over(shown)] if len(sets) > 1 else []
    hidden = {place for place, score in enumerate(_mean_over(shown)) if not _is_shown(score)}
    hidden = hidden if rows else set()
    for members, scores in zip(sets, shown, strict=True):
        for score in scores:
            if len(sets) > 1 or not _is_shown(score):
                hidden.add(len(rows))
            rows.append(_cells(score, names(members, trials)))
    columns = (
        *(Column(key, key.capitalize(), text=True) for key in ("by", "stratum", "scorer")),
        *numbers(n="n", malignant="Malignant", patients="Patients", auc="AUC", interval="95%"),
        *numbers(csv_only=True, low="low", high="high"),
        Column("set", "Set", text=True, csv_only=True),
        RUN,
    )
    return Table(
        title="Case mix: AUC over all lesions and over parts of them",
        columns=columns,
        rows=tuple(rows),
        notes=(
            *(
                [f"Means over {len(sets)} splits; each by itself is in the CSV file."]
                * (len(sets) > 1)
            ),
            "With BI-RADS: descriptors and the BI-RADS assessment.",
            "By class of benign lesions: all malignant ones against the benign ones of one class. "
            "Lesions that were benign without a callback are the easiest to tell.",
            NONE_SHOWN if len(hidden) == len(rows) else IN_THE_CSV,
            "Many parts are looked at: that one differs is no finding by itself.",
        ),
        hidden=frozenset(hidden),
    )


def benign_class_aucs(trial: RecordedTrial) -> dict[str, float]:
    """A network's AUC against each class of benign lesions; empty where the record knows none."""
    found = {}
    for stratum in benign_classes(trial.predictions, reported_evidence(trial)):
        labels, scores = trial.predictions.labels, trial.predictions.probabilities
        part = stratum.members
        found[stratum.value] = float(areas(labels[part], scores[None, part]).values[0])
    return found


def called_malignant(trial: RecordedTrial, benign_class: str) -> tuple[float, float]:
    """Of the benign lesions of a class those called malignant, and all; nan where not known."""
    for stratum in benign_classes(trial.predictions, reported_evidence(trial)):
        if stratum.value == benign_class:
            said = trial.predictions
            benign = stratum.members & (said.labels == 0)
            return float(np.sum(benign & (said.probabilities > 0.5))), float(np.sum(benign))
    return math.nan, math.nan


def specificity_among(trial: RecordedTrial, benign_class: str) -> float:
    """Specificity at 0.5 among the benign lesions of a class; nan where not known."""
    called, among = called_malignant(trial, benign_class)
    return 1 - called / among


def mean_area(
    labels: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], patients: Patients
) -> tuple[float, float, float]:
    """Mean AUC of scorers (k, n) of the same units, and its interval."""
    found = areas(labels, scores, patients)
    area = float(found.values.mean())
    freedom = found.freedom([1 / len(scores)] * len(scores))
    return area, *area_interval(area, float(found.covariance.mean()), freedom)


def _scores(members: Sequence[RecordedTrial]) -> list[StratumScore]:
    first = members[0].predictions
    evidence = reported_evidence(members[0])
    whole = Stratum("all", "all", np.ones(first.labels.size, dtype=bool))
    known = reported_baselines(members[0])
    found = []
    for stratum in (whole, *strata_of(first, evidence)):
        networks = np.array([each.predictions.probabilities for each in members])
        scorers = [(_NETWORKS, networks, members[0].run_id)]
        scorers += [
            (title, known[name][None], members[0].run_id)
            for name, title in BASELINE_TITLES.items()
            if name in known
        ]
        scorers += [
            (each.name, each.predictions.probabilities[None], each.run_id) for each in members
        ]
        found += [_score(stratum, *scorer, first) for scorer in scorers]
    return found


def _is_shown(score: StratumScore) -> bool:
    known = score.scorer in (_NETWORKS, *BASELINE_TITLES.values())
    return known and score.n >= LEAST and not math.isnan(score.auc)


def _mean_over(sets: Sequence[Sequence[StratumScore]]) -> list[StratumScore]:
    """Means of what every set has; without intervals, as that of one set would not be theirs."""
    of_key: dict[tuple[str, str, str], list[StratumScore]] = {}
    for scores in sets:
        for each in scores:
            key = (each.stratum.by, each.stratum.value, each.scorer)
            of_key.setdefault(key, []).append(each)
    whole = [each for each in of_key.values() if len(each) == len(sets)]
    return [
        replace(
            each[0],
            n=round(mean(one.n for one in each)),
            malignant=round(mean(one.malignant for one in each)),
            patients=round(mean(one.patients for one in each)),
            auc=mean(one.auc for one in each),
            low=math.nan,
            high=math.nan,
            run_id="",
        )
        for each in whole
    ]


def _score(
    stratum: Stratum,
    scorer: str,
    scores: npt.NDArray[np.float64],
    run_id: str,
    predictions: Predictions,
) -> StratumScore:
    """The mean AUC of scorers (k, n) on a stratum; its variance is that of the mean."""
    part = stratum.members
    labels = predictions.labels[part]
    patients = np.array(predictions.patients)[part] if predictions.patients else None
    area, low, high = mean_area(labels, scores[:, part], patients)
    return StratumScore(
        stratum,
        scorer,
        int(part.sum()),
        int(labels.sum()),
        0 if patients is None else len(set(patients.tolist())),
        area,
        low,
        high,
        run_id,
    )


def _cells(score: StratumScore, title: str) -> tuple[str, ...]:
    return (
        score.stratum.by,
        score.stratum.value,
        score.scorer,
        str(score.n),
        str(score.malignant),
        number_cell(score.patients or math.nan, 0),
        number_cell(score.auc, 3),
        interval_cell(score.low, score.high),
        number_cell(score.low, 6),
        number_cell(score.high, 6),
        title,
        score.run_id,
    )
