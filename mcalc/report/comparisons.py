"""Differences of scorers of the same lesions: networks, baselines, another prediction table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcalc.evaluation import (
    Difference,
    auc,
    auc_differences,
    holm,
    mcnemar,
    rate_difference,
)
from mcalc.iteration import grouped
from mcalc.report.cautions import names
from mcalc.report.formats import (
    Column,
    Table,
    interval_cell,
    mean,
    number_cell,
    numbers,
    p_cell,
    signed_cell,
)
from mcalc.report.recorded import reported_baselines
from mcalc.results import Predictions, RecordedTrial

BASELINE_TITLES = {
    "size": "crop size",
    "descriptors": "descriptors",
    "descriptors_assessment": "with BI-RADS",
}
"""Baselines that a network is compared with, as tables call them: crop size alone, what the
radiologist described, and that with the BI-RADS assessment."""
MOST_NETWORKS = 100
"""Networks on the same lesions up to which each is compared with each: 4,950 pairs."""
_MOST_ROWS = 20
"""Pairs of networks that are shown to people; the CSV file has all."""


@dataclass(frozen=True)
class Scorer:
    """Something that gave the lesions of one reported set probabilities."""

    name: str
    probabilities: npt.NDArray[np.float64]
    run_id: str = ""
    """Of a network; empty for what is none."""

    @property
    def is_network(self) -> bool:
        """Whether it is one of the record."""
        return bool(self.run_id)


@dataclass(frozen=True)
class Pair:
    """One comparison."""

    first: Scorer
    second: Scorer
    first_auc: float
    second_auc: float
    area: Difference
    accuracy: Difference
    mcnemar: float

    @property
    def against_network(self) -> bool:
        """Whether both are networks of the sweep."""
        return self.second.is_network


def by_reported_set(trials: Sequence[RecordedTrial]) -> list[list[RecordedTrial]]:
    """Trials that report the same units, with the same baselines, in order of appearance."""
    return [*grouped(trials, _reported_set).values()]


def _reported_set(trial: RecordedTrial) -> tuple[object, ...]:
    known = {name: guess.tobytes() for name, guess in reported_baselines(trial).items()}
    return trial.predictions.ids, tuple(known.items())


def comparisons_table(
    trials: Sequence[RecordedTrial], against: Mapping[str, Mapping[str, float]] | None = None
) -> Table | None:
    """Every network against every other, each baseline, and other tables of the same lesions.

    Args:
        trials: on any number of reported sets; only those on one set are compared.
        against: title -> lesion id -> probability; lesions that it lacks are named and left out of
            the comparisons with it.

    Returns:
        None where there is nothing to compare.
    """
    pairs, notes = [], []
    for members in by_reported_set(trials):
        predictions = members[0].predictions
        alike = grouped(members, lambda trial: trial.predictions.probabilities.tobytes()).values()
        scorers = [
            Scorer(names(same, members), same[0].predictions.probabilities, same[0].run_id)
            for same in alike
        ]
        known = reported_baselines(members[0])
        scorers += [
            Scorer(title, known[name]) for name, title in BASELINE_TITLES.items() if name in known
        ]
        if len(alike) > MOST_NETWORKS:
            notes.append(
                f"{len(alike)} networks report the same lesions. Above {MOST_NETWORKS} they are "
                "compared with what is no network, and not with one another."
            )
        pairs += _compared(predictions, scorers, among_networks=len(alike) <= MOST_NETWORKS)
        for title, table in (against or {}).items():
            shared, others = _shared(predictions, title, table)
            notes.append(others)
            if shared.any():
                pairs += _against(predictions, scorers, shared, title, table)
    if not pairs:
        return None
    return _table(pairs, [note for note in dict.fromkeys(notes) if note])


def above_baseline(trials: Sequence[RecordedTrial], baseline: str) -> tuple[int, int]:
    """How many networks have a higher AUC than a baseline, of how many that were compared.

    At p < 0.05 after Holm's correction over all pairs of a network and a baseline, as in
    `comparisons_table`. Networks with the same predictions are one. `baseline`: a key of
    `BASELINE_TITLES`.
    """
    found: list[tuple[str, Difference]] = []
    for members in by_reported_set(trials):
        known = reported_baselines(members[0])
        names = [name for name in BASELINE_TITLES if name in known]
        said = members[0].predictions
        alike = grouped(members, lambda trial: trial.predictions.probabilities.tobytes()).values()
        networks = [same[0].predictions.probabilities for same in alike]
        if not names:
            continue
        scores = np.array(networks + [known[name] for name in names])
        count = len(networks)
        places = [(one, count + other) for one in range(count) for other in range(len(names))]
        compared = auc_differences(said.labels, scores, said.patients or None, places)
        found += zip(names * count, compared, strict=True)
    adjusted = holm([each.p for _, each in found])
    tested = [
        (each.value, p)
        for (name, each), p in zip(found, adjusted, strict=True)
        if name == baseline and not math.isnan(p)
    ]
    return sum(value > 0 and p < 0.05 for value, p in tested), len(tested)


def _compared(
    predictions: Predictions, scorers: Sequence[Scorer], *, among_networks: bool = True
) -> list[Pair]:
    """Networks with what is no network and, `among_networks`, with one another."""
    places = [
        (one, other)
        for one, other in itertools.combinations(range(len(scorers)), 2)
        if scorers[one].is_network and (among_networks or not scorers[other].is_network)
    ]
    if not places:
        return []
    patients = predictions.patients or None
    labels = predictions.labels
    scores = np.array([scorer.probabilities for scorer in scorers])
    right = (scores > 0.5) == (labels == 1)
    areas = [auc(labels, each) for each in scores]
    found = auc_differences(labels, scores, patients, places)
    return [
        Pair(
            scorers[one],
            scorers[other],
            areas[one],
            areas[other],
            area,
            rate_difference(right[one], right[other], patients),
            mcnemar(right[one], right[other]),
        )
        for (one, other), area in zip(places, found, strict=True)
    ]


def _shared(
    predictions: Predictions, title: str, table: Mapping[str, float]
) -> tuple[npt.NDArray[np.bool_], str]:
    shared = np.array([name in table for name in predictions.ids], dtype=bool)
    lost = int(np.sum(~shared))
    note = (
        f"{title} lacks {lost} of {shared.size} reported: they are left out there." if lost else ""
    )
    return shared, note


def _against(
    predictions: Predictions,
    scorers: Sequence[Scorer],
    shared: npt.NDArray[np.bool_],
    title: str,
    table: Mapping[str, float],
) -> list[Pair]:
    chosen = np.flatnonzero(shared)
    patients = predictions.patients
    part = Predictions(
        tuple(predictions.ids[i] for i in chosen),
        predictions.labels[chosen],
        predictions.probabilities[chosen],
        tuple(patients[i] for i in chosen) if patients else (),
    )
    other = Scorer(title, np.array([table[name] for name in part.ids]))
    pairs = []
    for scorer in scorers:
        if scorer.is_network:
            own = replace(scorer, probabilities=scorer.probabilities[chosen])
            pairs += _compared(part, [own, other])
    return pairs


def _table(pairs: Sequence[Pair], notes: Sequence[str]) -> Table:
    # one family for each question: which network is better, and whether any is than a baseline
    adjusted = [math.nan] * len(pairs)
    for family in (True, False):
        places = [i for i, pair in enumerate(pairs) if pair.against_network is family]
        for place, p in zip(places, holm([pairs[i].area.p for i in places]), strict=True):
            adjusted[place] = p
    order = sorted(
        range(len(pairs)), key=lambda i: (pairs[i].against_network, _at_end(adjusted[i]))
    )
    between = [i for i in order if pairs[i].against_network]
    hidden = set(between[_MOST_ROWS:])
    rows = [_cells(pairs[i], adjusted[i]) for i in order]
    columns = (
        Column("first", "First", text=True),
        Column("second", "Second", text=True),
        *numbers(first_auc="AUC first", second_auc="AUC second", difference="AUC diff."),
        *numbers(interval="95%", p="p", holm="p (Holm)"),
        *numbers(accuracy_difference="Acc. diff.", accuracy_interval="95%", mcnemar="McNemar p"),
        *numbers(csv_only=True, low="low", high="high"),
        *numbers(csv_only=True, accuracy_low="accuracy low", accuracy_high="accuracy high"),
        *(Column(key, key, text=True, csv_only=True) for key in ("first_run", "second_run")),
    )
    return Table(
        title="Differences between scorers of the same lesions, first less second",
        columns=columns,
        rows=tuple(rows),
        notes=(*_verdict(pairs, adjusted), *notes, *_method(len(hidden))),
        hidden=frozenset(place for place, i in enumerate(order) if i in hidden),
    )


def _at_end(p: float) -> float:
    return math.inf if math.isnan(p) else p


def _cells(pair: Pair, adjusted: float) -> tuple[str, ...]:
    area, accuracy = pair.area, pair.accuracy
    return (
        pair.first.name,
        pair.second.name,
        number_cell(pair.first_auc, 3),
        number_cell(pair.second_auc, 3),
        signed_cell(area.value),
        interval_cell(area.low, area.high, signed=True),
        p_cell(area.p),
        p_cell(adjusted),
        signed_cell(accuracy.value),
        interval_cell(accuracy.low, accuracy.high, signed=True),
        p_cell(pair.mcnemar),
        *(number_cell(value, 6) for value in (area.low, area.high, accuracy.low, accuracy.high)),
        pair.first.run_id,
        pair.second.run_id,
    )


def _verdict(pairs: Sequence[Pair], adjusted: Sequence[float]) -> list[str]:
    between = [i for i, pair in enumerate(pairs) if pair.against_network]
    if not between:
        return []
    tested = [i for i in between if not math.isnan(adjusted[i])]
    clear = sum(adjusted[i] < 0.05 for i in tested)
    size = number_cell(mean(abs(pairs[i].area.value) for i in between), 3)
    why = "too few patients or a class that is absent"
    if len(between) > 1:
        verb = "differs" if clear == 1 else "differ"
        said = (
            f"Of {len(between)} pairs of networks {clear} {verb} in AUC at p < 0.05 after Holm's "
            f"correction; the mean difference is {size}."
        )
    elif tested:
        shown = (
            "The two networks differ in AUC at p < 0.05"
            if clear
            else "No difference in AUC between the two networks is shown (p ≥ 0.05)"
        )
        said = f"{shown}; the difference is {size}."
    else:
        said = f"The AUCs of the two networks cannot be compared: {why}."
    found = [f"{said} Networks with the same predictions are one."]
    if len(tested) < len(between) > 1:
        found.append(f"{len(between) - len(tested)} of them cannot be tested: {why}.")
    return found


def _method(hidden: int) -> list[str]:
    more = f" {hidden} further pairs are in the CSV file." if hidden else ""
    return [
        "With BI-RADS: descriptors and the BI-RADS assessment. AUC: paired, clustered by patient "
        "(Obuchowski 1997), Student's t; Holm's correction over "
        "all pairs of networks, and over all pairs of a network and something else. Accuracy: at "
        "0.5, clustered by patient; McNemar's exact p takes lesions as independent. Seed by seed: "
        "one training run each, so that a difference is one between these runs." + more
    ]
