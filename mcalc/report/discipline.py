"""The same rows under protocols of rising discipline: what each step takes away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from mcalc.config import entries, is_numeric
from mcalc.evaluation import Confusion, Difference, blocked_difference
from mcalc.iteration import grouped
from mcalc.report.configurations import REPEATED, overlap
from mcalc.report.formats import (
    NOT_RUN,
    Column,
    Table,
    interval_cell,
    number_cell,
    numbers,
    p_cell,
    signed_cell,
)
from mcalc.report.recorded import reported_auc
from mcalc.results import RecordedTrial

LADDER = ("paper_augment_first", "paper", "patient", "official")
"""Protocols from the most lenient to the strictest."""
_MEANING = {
    "paper_augment_first": "copies made first, then split: copies of one lesion on both sides",
    "paper": "split by lesion: patients on both sides",
    "patient": "split by patient; what is reported stops training",
    "official": "the data set's own test patients; others stop training",
}


@dataclass(frozen=True)
class Rung:
    """A protocol with what was reached under it."""

    protocol: str
    runs: int
    leak: str
    aucs: dict[str, float]
    """Seed -> mean AUC over the rows that every protocol has."""
    accuracies: dict[str, float]
    overlap: float
    """Lesions tested by lesions trained on (`configurations.overlap`)."""


def rungs(trials: Sequence[RecordedTrial]) -> list[Rung]:
    """Protocols in the order of `LADDER`, over the rows and seeds that all of them have."""
    by_protocol = grouped(trials, lambda trial: trial.tags.get("mcalc.protocol", ""))
    present = [each for each in LADDER if each in by_protocol]
    if len(present) < 2:
        return []
    places = {
        protocol: {
            (apart_from_protocol(trial), trial.params.get("seed", "")): trial for trial in members
        }
        for protocol, members in by_protocol.items()
    }
    shared = set.intersection(*(set(places[protocol]) for protocol in present))
    if not shared:
        return []
    seeds = sorted({seed for _, seed in shared})
    found = []
    for protocol in present:
        # in one order: the overlap is that of the first
        mine = {each: places[protocol][each] for each in places[present[0]] if each in shared}
        of_seed = {seed: [t for (_, s), t in mine.items() if s == seed] for seed in seeds}
        found.append(
            Rung(
                protocol,
                len(mine),
                _leaks(list(mine.values())),
                {
                    seed: fmean(reported_auc(trial) for trial in each)
                    for seed, each in of_seed.items()
                },
                {seed: fmean(_rate(trial) for trial in each) for seed, each in of_seed.items()},
                overlap(list(mine.values())),
            )
        )
    return found


def discipline_table(trials: Sequence[RecordedTrial]) -> Table | None:
    """Protocols in order, each with what it takes away from the one before, paired by seed.

    None unless the same rows and seeds were run under two protocols.
    """
    steps = rungs(trials)
    if not steps:
        return None
    rows = []
    for place, rung in enumerate(steps):
        before = steps[place - 1] if place else None
        shared = max(before.overlap, rung.overlap) if before else 0.0
        area = _step(before.aucs, rung.aucs, shared) if before else None
        rate = _step(before.accuracies, rung.accuracies, shared) if before else None
        rows.append(
            (
                rung.protocol,
                str(rung.runs),
                rung.leak,
                number_cell(fmean(rung.accuracies.values()), 3),
                *_cells(rate)[:2],
                number_cell(fmean(rung.aucs.values()), 3),
                number_cell(stdev(rung.aucs.values()) if len(rung.aucs) > 1 else math.nan, 3),
                *_cells(area),
            )
        )
    columns = (
        Column("protocol", "Protocol", text=True),
        *numbers(runs="Runs"),
        Column("leak", "On both sides", text=True),
        *numbers(accuracy="Accuracy", accuracy_step="Step", accuracy_interval="95%"),
        *numbers(auc="AUC", auc_sd="SD", auc_step="Step", auc_interval="95%", p="p"),
    )
    meanings = (f"{each.protocol}: {_MEANING[each.protocol]}." for each in steps)
    return Table(
        title="Discipline: the same rows under protocols that leak less and less",
        columns=columns,
        rows=tuple(rows),
        notes=(
            *meanings,
            "Step: less the protocol above, paired by seed (mean over the rows), Student's t over "
            "seeds with Nadeau and Bengio's variance, as splits of the same lesions overlap. "
            "Protocols report other lesions, so a step has the difference between those in it too.",
        ),
    )


def apart_from_protocol(trial: RecordedTrial) -> tuple[tuple[str, str], ...]:
    """What a trial is apart from its protocol and seed."""
    known = entries()
    return tuple(
        (key, value)
        for key, value in sorted(trial.params.items())
        if key in known
        and is_numeric(key)
        and key not in REPEATED
        and not key.startswith("protocol.")
    )


def _leaks(trials: Sequence[RecordedTrial]) -> str:
    """Patients and copies on both sides, as a range over trials; `none` where there are none."""
    texts = {trial.tags.get("mcalc.leak", NOT_RUN) for trial in trials}
    if texts == {"none"}:
        return "none"
    kinds = ["patients"] * any("patient" in text for text in texts)
    kinds += ["copies"] * any("copies" in text for text in texts)
    return " and ".join(kinds) or NOT_RUN


def _step(before: dict[str, float], after: dict[str, float], shared: float) -> Difference:
    seeds = sorted(after)
    first = np.array([after[seed] for seed in seeds])
    second = np.array([before[seed] for seed in seeds])
    return blocked_difference(first, second, shared)


def _cells(found: Difference | None) -> tuple[str, str, str]:
    if found is None:
        return NOT_RUN, NOT_RUN, NOT_RUN
    interval = interval_cell(found.low, found.high, signed=True)
    return signed_cell(found.value), interval, p_cell(found.p)


def _rate(trial: RecordedTrial) -> float:
    return Confusion.of(trial.predictions).accuracy
