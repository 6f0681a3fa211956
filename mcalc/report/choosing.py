"""Which trial is the best, and where malignant begins: chosen where nothing is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from mcalc.evaluation import (
    Choice,
    auc,
    calibration,
    can_decide,
    choose_threshold,
    odds_of,
    rate_interval,
    sensitivity_at,
    temperature,
)
from mcalc.evaluation.operating_point import SENSITIVITY
from mcalc.report.configurations import base_name, block, configurations
from mcalc.report.formats import (
    NOT_RUN,
    RUN,
    Column,
    Table,
    counted,
    interval_cell,
    number_cell,
    numbers,
)
from mcalc.results import Predictions, RecordedTrial

SPECIFICITIES = (0.80, 0.90)
"""At which the sensitivity is given."""


def can_choose(trial: RecordedTrial) -> bool:
    """Whether the record has predictions of both classes of lesions that are not reported."""
    return can_decide(trial.validation)


def choosing_table(trials: Sequence[RecordedTrial], choice: Choice) -> Table:
    """Trials by their validation AUC, with the operating point that validation fixes.

    Beside it the published one, 0.5, and the sensitivity at fixed specificities. A trial whose
    record has no validation apart from what is reported has 0.5 alone.
    """
    ranks = ranks_of(trials)
    rows = []
    for trial in sorted(trials, key=lambda each: ranks.get(each.run_id, math.inf)):
        rows.append(_operating_cells(trial, choice, ranks.get(trial.run_id)))
    columns = (
        Column("name", "Name", text=True),
        *numbers(csv_only=True, threshold_log_odds="Threshold, log odds"),
        *numbers(rank="Rank", validation_auc="Val. AUC", auc="AUC", threshold="Thres- hold"),
        *numbers(sensitivity="Sens.", sensitivity_interval="95%"),
        *numbers(specificity="Spec.", specificity_interval="95%"),
        *numbers(sensitivity_half="Sens. at 0.5", specificity_half="Spec. at 0.5"),
        *(
            Column(f"sensitivity_at_{round(100 * each)}", f"Sens. at spec. {each:.2f}")
            for each in SPECIFICITIES
        ),
        RUN,
    )
    return Table(
        title="Choice and operating point",
        columns=columns,
        rows=tuple(rows),
        notes=tuple(_choice_notes(trials, choice, ranks)),
    )


def calibration_table(trials: Sequence[RecordedTrial]) -> Table | None:
    """Calibration of what is reported, before and after temperature scaling on the validation side.

    None where no trial's validation is apart from what is reported.
    """
    judged = [trial for trial in trials if can_choose(trial)]
    if not judged:
        return None
    columns = (
        Column("name", "Name", text=True),
        *numbers(brier="Brier", slope="Slope", intercept="Intercept", temperature="Temperature"),
        *numbers(brier_after="Brier after", slope_after="Slope after"),
        *numbers(intercept_after="Intercept after"),
        RUN,
    )
    rows = []
    for trial in judged:
        assert trial.validation is not None  # `can_choose`
        by = temperature(trial.validation.labels, odds_of(trial.validation))
        labels, odds = trial.predictions.labels, odds_of(trial.predictions)
        before = calibration(labels, odds)
        cells = [number_cell(v, 3) for v in (before.brier, before.slope, before.intercept, by)]
        if math.isnan(by):
            cells += [NOT_RUN] * 3
        else:
            after = calibration(labels, odds / by)
            cells += [number_cell(v, 3) for v in (after.brier, after.slope, after.intercept)]
        rows.append((trial.name, *cells, trial.run_id))
    notes = [
        "Brier: mean squared distance of probability and truth (0 is best). Slope: 1 is right; "
        "below it, probabilities are too extreme. Intercept, in log odds at slope 1: 0 is right, "
        "above 0 malignant is stated too rarely.",
        "A dash for the temperature: on the lesions that stopped training none is the best, as "
        "where the network's order is no better than chance there.",
        "The temperature divides the log odds; it is fitted on the lesions that stopped training, "
        "and never on those reported.",
    ]
    if len(judged) < len(trials):
        notes.append(
            f"{_without(len(trials) - len(judged), len(trials))} no validation apart: nothing is "
            "fitted there."
        )
    return Table("Calibration of the reported lesions", columns, tuple(rows), tuple(notes))


def expected_best_of(k: int) -> float:
    """How far the best of `k` equal ones is expected above their mean, in their SD.

    The expected maximum of k normal values: 1.54 for ten.
    """
    if k < 2:
        return 0.0
    density = lambda x: k * x * norm.pdf(x) * norm.cdf(x) ** (k - 1)  # noqa: E731
    return float(quad(density, -12, 12)[0])


def ranks_of(trials: Sequence[RecordedTrial]) -> dict[str, int]:
    """Run id -> rank by validation AUC, 1 the best; equal ones share the better rank.

    Trials that were validated on other lesions (seeds, folds) cannot be ranked by one AUC each: the
    one with the easiest lesions would win. Then configurations are, by their mean over the blocks
    of seed and fold that all of them have; without such a block none is. One alone has no rank.
    """
    known = [trial for trial in trials if trial.validation is not None and can_choose(trial)]
    if len(known) < 2:
        return {}
    if len({trial.validation.ids for trial in known if trial.validation}) < 2:
        return _ranked({trial.run_id: _validation_auc(trial) for trial in known})
    whole = configurations(known)
    shared = set.intersection(*({*map(block, each.trials)} for each in whole))
    if not shared or len(whole) < 2:
        return {}
    # by a run of theirs: configurations that differ in a setting alone may share a name
    means = {
        each.trials[0].run_id: fmean(_validation_auc(t) for t in each.trials if block(t) in shared)
        for each in whole
    }
    ranks = _ranked(means)
    return {trial.run_id: ranks[each.trials[0].run_id] for each in whole for trial in each.trials}


def _ranked(areas: Mapping[str, float]) -> dict[str, int]:
    return {name: 1 + sum(o > area for o in areas.values()) for name, area in areas.items()}


def _validation_auc(trial: RecordedTrial) -> float:
    assert trial.validation is not None  # `can_choose`
    return auc(trial.validation.labels, trial.validation.probabilities)


def _operating_cells(trial: RecordedTrial, choice: Choice, rank: int | None) -> tuple[str, ...]:
    said = trial.predictions
    area = number_cell(auc(said.labels, said.probabilities), 3)
    half = _at(said, said.probabilities > 0.5)
    both = len(np.unique(said.labels)) == 2
    fixed = [
        number_cell(sensitivity_at(said.labels, odds_of(said), each) if both else math.nan, 3)
        for each in SPECIFICITIES
    ]
    if trial.validation is None or not can_choose(trial):
        blank = [NOT_RUN] * 2
        rest = (*half, half[0], half[2], *fixed, trial.run_id)
        return (trial.name, "0.0", *blank, area, "0.5", *rest)
    validation_area = auc(trial.validation.labels, trial.validation.probabilities)
    threshold = choose_threshold(trial.validation.labels, odds_of(trial.validation), choice)
    chosen = _at(said, odds_of(said) > threshold)
    place = NOT_RUN if rank is None else str(rank)
    shown = number_cell(float(expit(threshold)), 3)
    return (
        trial.name, repr(threshold), place, number_cell(validation_area, 3), area, shown, *chosen,
        half[0], half[2], *fixed, trial.run_id,
    )  # fmt: skip


def _at(said: Predictions, called: npt.NDArray[np.bool_]) -> list[str]:
    """Sensitivity and specificity, each with its interval."""
    cells = []
    for malignant in (True, False):
        among = (said.labels == 1) == malignant
        hits = called[among] == malignant
        patients = np.array(said.patients)[among] if said.patients else None
        share = float(hits.mean()) if hits.size else math.nan
        cells += [number_cell(share, 3), interval_cell(*rate_interval(hits, patients))]
    return cells


def _choice_notes(
    trials: Sequence[RecordedTrial], choice: Choice, ranks: dict[str, int]
) -> list[str]:
    notes = [
        "Sensitivities at fixed specificities are read off the reported ROC curve: they describe "
        "it, and no threshold is chosen by them."
    ]
    first = [trial for trial in trials if ranks.get(trial.run_id) == 1]
    best = list(dict.fromkeys(map(base_name, first))) if first else []
    able = sum(map(can_choose, trials))
    if able > 1 and not first:
        notes.append(
            "Trials were validated on other lesions each, so that no AUC there ranks them: only "
            "configurations over the same seeds and folds can be, and there are no two."
        )
    if best:
        notes.append(f"Best by validation AUC{_over_blocks(trials)}: {' + '.join(best)}.")
    if able:
        how = {
            Choice.youden: "the largest sum of sensitivity and specificity",
            Choice.sensitivity: f"a sensitivity of at least {SENSITIVITY:.2f} at the largest "
            "specificity",
        }[choice]
        notes.append(
            f"The threshold is fixed on what stopped training, for {how} there, and judged on "
            "those reported."
        )
    without = [trial for trial in trials if not can_choose(trial)]
    if without:
        notes.append(
            f"{_without(len(without), len(trials))} no ranking, no operating point but 0.5 and "
            "no calibration: what stopped training is reported, or not recorded, and nothing is "
            "ever fitted on the reported set. protocol.validation=0.15 keeps a part "
            "apart."
        )
        notes += _optimism(without)
    return notes


def _without(number: int, among: int) -> str:
    """`3 of 5 trials have`, before what they lack."""
    if among == 1:
        return "The trial has"
    return f"{number} of {counted(among, 'trial')} {'has' if number == 1 else 'have'}"


def _over_blocks(trials: Sequence[RecordedTrial]) -> str:
    sets = {trial.validation.ids for trial in trials if trial.validation}
    return ", mean over seeds and folds" if len(sets) > 1 else ""


def _optimism(trials: Sequence[RecordedTrial]) -> list[str]:
    """What the best of several is too good by, where it can be chosen on the reported set alone."""
    by_content = {trial.predictions.probabilities.tobytes(): trial for trial in trials}
    distinct = list(by_content.values())
    rates = [
        float(np.mean((t.predictions.probabilities > 0.5) == t.predictions.labels))
        for t in distinct
    ]
    if len(rates) < 2 or len({trial.predictions.ids for trial in distinct}) > 1:
        return []
    spread = stdev(rates)
    expected = expected_best_of(len(rates)) * spread
    return [
        f"The best of these {len(rates)} different networks by reported accuracy lies "
        f"{max(rates) - fmean(rates):.3f} above their mean. Were all equally good, {expected:.3f} "
        f"would be expected by chance alone ({expected_best_of(len(rates)):.2f} times their SD of "
        f"{spread:.3f})."
    ]
