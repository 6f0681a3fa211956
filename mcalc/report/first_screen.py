"""What a page says first: one sentence, and every row's estimate with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcalc.evaluation import (
    Confusion,
    Estimate,
    Panel,
    auc,
    wilson_interval,
)
from mcalc.report.accuracy import Accuracy
from mcalc.report.cautions import units_of
from mcalc.report.choosing import can_choose, expected_best_of, ranks_of
from mcalc.report.comparisons import BASELINE_TITLES, above_baseline
from mcalc.report.configurations import configurations
from mcalc.report.formats import counted, interval_cell, mean, rounded_name, sd
from mcalc.report.recorded import reported_auc, reported_baselines
from mcalc.report.rows import Row
from mcalc.results import RecordedTrial


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out, in two sentences at most."""

    sentence: str
    choice: str = ""
    """Which configuration to take, chosen where nothing is reported; or why none can be."""


def verdict(trials: Sequence[RecordedTrial], without_result: int = 0, anew: int = 0) -> Verdict:
    """What came out of trials, in words that several of them allow.

    Args:
        trials: those with a result.
        without_result: others of the same sweep that failed, were pruned or were cut off.
        anew: how many of `trials` were restarted, so that what is shown is an earlier result.
    """
    lost = f" {without_result} more ended without a result." if without_result else ""
    if anew:
        lost += f" {anew} restarted, without a result yet: the earlier one is shown."
    if not trials:
        return Verdict(f"No trial has a result.{lost}")
    whole = configurations(trials)
    what = f"{len(trials)} networks" if len(trials) > 1 else "One network"
    if 1 < len(whole) < len(trials):
        what = f"{len(whole)} configurations, {len(trials)} networks in all"
    areas = [reported_auc(trial) for trial in trials]
    known = [area for area in areas if not math.isnan(area)]
    if not known:
        said = "AUC is not defined, as one class is not reported"
    else:
        low, high = f"{min(known):.3f}", f"{max(known):.3f}"
        said = f"AUC {low}" if low == high else f"AUC from {low} to {high}"
        if len(trials) == 1:
            only = Accuracy.of(Row("", None, tuple(trials)))
            said = f"AUC {low} ({_ends(only)})"
    where = " on phantoms, which are no mammograms" if _phantoms(trials) else ""
    sentence = f"{what}{where}: {said} on the {units_of(trials)} reported{_above_size(trials)}."
    return Verdict(sentence + lost, _choice(trials))


def _above_size(trials: Sequence[RecordedTrial]) -> str:
    """`; 2 of 6 rank them better than crop size alone does (AUC 0.678)`."""
    above, tested = above_baseline(trials, "size")
    if not tested:
        return ""
    areas = {f"{baseline_area(trial, 'size'):.3f}" for trial in trials} - {"nan"}
    size = f" (AUC {min(areas)}{f' to {max(areas)}' if len(areas) > 1 else ''})"
    how = f"at p < 0.05{' after Holm’s correction' if tested > 1 else ''}"
    who = "none ranks" if not above else f"{above} of {tested} rank{'s' if above == 1 else ''}"
    if tested == 1:
        who = "it ranks" if above else "it does not rank"
    return f"; {who} them better than crop size alone does{size}, {how}"


def _choice(trials: Sequence[RecordedTrial]) -> str:
    whole = configurations(trials)
    if len(whole) < 2:
        return ""
    ranks = ranks_of(trials)
    first = [each for each in whole if ranks.get(each.trials[0].run_id) == 1]
    if first:
        chosen = Accuracy.of(Row(first[0].name, None, first[0].trials))
        more = f" (and {len(first) - 1} equal to it)" if len(first) > 1 else ""
        return (
            "Chosen by validation AUC, without a look at what is reported: "
            f"{rounded_name(first[0].name)}{more}, AUC {chosen.auc:.3f} ({_ends(chosen)}) on what "
            "is reported."
        )
    areas = [mean(map(reported_auc, each.trials)) for each in whole]
    known = [area for area in areas if not math.isnan(area)]
    if len(known) < 2:
        return ""
    by = expected_best_of(len(known)) * sd(known)
    why = (
        "their validation sets differ"
        if any(map(can_choose, trials))
        else "what stopped training is reported, or was not recorded"
    )
    return (
        f"None is chosen: {why}. The highest of {len(known)}, {max(known):.3f}, was picked on the "
        f"reported {units_of(trials)} themselves; of equally good ones {by:.3f} above their mean "
        "is expected by chance."
    )


def _ends(score: Accuracy) -> str:
    if not math.isnan(score.auc_sd):
        return f"SD {score.auc_sd:.3f}"
    return f"95 % {interval_cell(score.auc_low, score.auc_high)}"


def _phantoms(trials: Sequence[RecordedTrial]) -> bool:
    return all(trial.params.get("data.source") == "phantom" for trial in trials)


def baseline_area(trial: RecordedTrial, baseline: str) -> float:
    """AUC of a baseline on what a trial reports; nan where it is not known."""
    known = reported_baselines(trial)
    if baseline in known:
        return auc(trial.predictions.labels, known[baseline])
    return trial.metrics.get(f"{baseline}_auc", math.nan)


def panels(rows: Sequence[Row], scores: Sequence[Accuracy] | None = None) -> list[Panel]:
    """AUC and accuracy of the rows that were run, or that the paper has, with their lines.

    Lines are means over the trials' reported sets. `scores`: those of the rows, where known.
    """
    trials = [trial for row in rows for trial in row.trials]
    found = list(scores) if scores is not None else [Accuracy.of(row) for row in rows]
    areas, rates = [], []
    for row, score in zip(rows, found, strict=True):
        label = row.label
        runs = tuple(map(reported_auc, row.trials)) if len(row.trials) > 1 else ()
        ends = _bounds(score.auc, score.auc_low, score.auc_high, score.auc_sd)
        areas.append(Estimate(label, score.auc, *ends, runs=runs))
        paper = None
        if row.paper is not None:
            counts = row.paper.confusion
            paper = (float(row.paper.accuracy), *wilson_interval(counts.correct, counts.total))
        ends = _bounds(score.accuracy, score.low, score.high, score.sd)
        several = len(row.trials) > 1
        each = [Confusion.of(trial.predictions).accuracy for trial in row.trials]
        rates.append(
            Estimate(label, score.accuracy, *ends, runs=tuple(each) if several else (), paper=paper)
        )
    scored = units_of(trials)
    lines = {
        f"{title} alone" if name == "size" else title: mean(
            baseline_area(trial, name) for trial in trials
        )
        for name, title in BASELINE_TITLES.items()
        if name != "descriptors_assessment"
    }
    benign = mean(1 - float(trial.predictions.labels.mean()) for trial in trials)
    return [
        Panel(f"AUC on the {scored} reported", areas, {"chance": 0.5, **lines}),
        Panel(f"accuracy on the {scored} reported", rates, {"always benign": benign}),
    ]


def _bounds(value: float, low: float, high: float, spread: float) -> tuple[float, float]:
    """The ends of the interval, or one SD to both sides where there are several runs."""
    if not math.isnan(spread):
        return value - spread, value + spread
    return low, high


def described(panel: Panel) -> str:
    """What an interval plot shows, in words."""
    known = [each for each in panel.estimates if not math.isnan(each.value)]
    if not known:
        return f"Interval plot of {panel.quantity}: no row has a value."
    low, high = (pick(known, key=lambda each: each.value) for pick in (min, max))
    lines = ", ".join(
        f"{name} {where:.3f}" for name, where in panel.lines.items() if not math.isnan(where)
    )
    return (
        f"Interval plot of {panel.quantity}, {counted(len(known), 'row')}, from {low.value:.3f} "
        f"({low.label}) to {high.value:.3f} ({high.label}); lines: {lines}. The table below has "
        "every value."
    )
