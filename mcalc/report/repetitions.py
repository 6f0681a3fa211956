"""Configurations over several seeds or folds: mean, SD, differences by block, pooled folds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean, stdev

import numpy as np
from scipy.stats import rankdata

from mcalc.evaluation import (
    Confusion,
    Difference,
    auc,
    auc_interval,
    blocked_difference,
    holm,
    odds_of,
    rank_stability,
)
from mcalc.iteration import grouped
from mcalc.report.configurations import (
    Configuration,
    block,
    configurations,
    overlap,
    partition,
)
from mcalc.report.formats import (
    NOT_RUN,
    RUN,
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

_MOST_ROWS = 20
"""Pairs shown to people; the CSV file has all."""


def repeated(trials: Sequence[RecordedTrial]) -> list[Configuration]:
    """Configurations with more than one seed or fold."""
    return [each for each in configurations(trials) if len({*map(block, each.trials)}) > 1]


def repetitions_table(trials: Sequence[RecordedTrial]) -> Table | None:
    """Mean and SD of each configuration, the pooled AUC of its folds, and its ranks.

    None where every configuration was run once.
    """
    several = repeated(trials)
    if not several:
        return None
    ranks, notes = _ranks(several)
    rows = []
    for each in several:
        areas, rates = (
            _areas(each),
            [Confusion.of(trial.predictions).accuracy for trial in each.trials],
        )
        pooled = _pooled(each)
        mine = ranks.get(each.trials[0].run_id, [])
        rows.append(
            (
                each.name,
                str(len(each.trials)),
                number_cell(fmean(rates), 4),
                number_cell(stdev(rates), 4),
                number_cell(fmean(areas), 3),
                number_cell(stdev(areas), 3),
                *pooled,
                number_cell(fmean(mine) if mine else math.nan, 1),
                f"{min(mine):g}–{max(mine):g}" if mine else NOT_RUN,
                each.trials[0].run_id,
            )
        )
    columns = (
        Column("name", "Name", text=True),
        *numbers(runs="Runs", accuracy="Accuracy", accuracy_sd="SD", auc="AUC", auc_sd="SD"),
        *numbers(pooled="Pooled AUC", pooled_interval="95%"),
        *numbers(rank="Mean rank", ranks="Ranks"),
        RUN,
    )
    notes.append(
        "SD over seeds or folds: how far the same configuration varies. Pooled: all folds of one "
        "seed together, by log odds, each lesion reported once; folds are of different networks."
    )
    return Table("Repetitions over seeds and folds", columns, tuple(rows), tuple(notes))


def blocked_table(trials: Sequence[RecordedTrial]) -> Table | None:
    """Differences of AUC between configurations, within blocks of one seed and fold.

    None where no two configurations share two blocks.
    """
    several = repeated(trials)
    pairs: list[tuple[Configuration, Configuration, int, Difference]] = []
    for one, other in itertools.combinations(several, 2):
        mine, theirs = _by_block(one), _by_block(other)
        shared = [each for each in mine if each in theirs]
        if len(shared) > 1:
            first = np.array([reported_auc(mine[each]) for each in shared])
            second = np.array([reported_auc(theirs[each]) for each in shared])
            found = blocked_difference(first, second, overlap([mine[each] for each in shared]))
            pairs.append((one, other, len(shared), found))
    if not pairs:
        return None
    adjusted = holm([found.p for *_, found in pairs])
    order = sorted(range(len(pairs)), key=lambda i: (math.isnan(adjusted[i]), adjusted[i]))
    rows = []
    for i in order:
        one, other, count, found = pairs[i]
        rows.append(
            (
                one.name,
                other.name,
                str(count),
                signed_cell(found.value),
                interval_cell(found.low, found.high, signed=True),
                p_cell(found.p),
                p_cell(adjusted[i]),
                number_cell(found.low, 6),
                number_cell(found.high, 6),
                one.trials[0].run_id,
                other.trials[0].run_id,
            )
        )
    columns = (
        Column("first", "First", text=True),
        Column("second", "Second", text=True),
        *numbers(blocks="Blocks", difference="AUC diff.", interval="95%", p="p", holm="p (Holm)"),
        *numbers(csv_only=True, low="low", high="high"),
        *(Column(key, key, text=True, csv_only=True) for key in ("first_run", "second_run")),
    )
    return Table(
        title="Differences between configurations, blocked by seed and fold",
        columns=columns,
        rows=tuple(rows),
        notes=(
            f"{_clear(adjusted)} Student's t over blocks; where these are other "
            "splits of the same lesions, with the variance that Nadeau and Bengio (2003) give for "
            "overlapping training sets.",
        ),
        hidden=frozenset(range(_MOST_ROWS, len(rows))),
    )


def _clear(adjusted: Sequence[float]) -> str:
    """Which pairs differ; `adjusted` has the p of each, nan where it cannot be tested."""
    tested = [p for p in adjusted if not math.isnan(p)]
    if not tested:
        return "No pair can be tested."
    clear = sum(p < 0.05 for p in tested)
    if len(adjusted) == 1:
        return "They differ at p < 0.05." if clear else "No difference is shown (p ≥ 0.05)."
    verb = "differs" if clear == 1 else "differ"
    untested = len(adjusted) - len(tested)
    without = f"; {untested} cannot be tested" if untested else ""
    return f"{clear} of {len(adjusted)} pairs {verb} at p < 0.05 after Holm's correction{without}."


def _areas(each: Configuration) -> list[float]:
    return [reported_auc(trial) for trial in each.trials]


def _by_block(each: Configuration) -> dict[tuple[str, ...], RecordedTrial]:
    return {block(trial): trial for trial in each.trials}


def _pooled(each: Configuration) -> list[str]:
    """Cells of the pooled AUC of all folds of the first seed that has them all."""
    folds = [trial for trial in each.trials if trial.tags.get("mcalc.protocol") == "cv"]
    wanted = {str(trial.params.get("protocol.folds")) for trial in folds}
    if len(wanted) == 1:
        for members in grouped(folds, partition).values():
            parts = {trial.params.get("protocol.fold") for trial in members}
            if len(parts) == len(members) == int(float(next(iter(wanted)))):
                said = [trial.predictions for trial in members]
                labels = np.concatenate([one.labels for one in said])
                odds = np.concatenate([odds_of(one) for one in said])
                # only the order counts; 0..1 is what scores take
                scores = rankdata(odds) / odds.size
                patients = [name for one in said for name in one.patients]
                interval = auc_interval(labels, scores, patients or None)
                return [number_cell(auc(labels, scores), 3), interval_cell(*interval)]
    return [NOT_RUN, NOT_RUN]


def _ranks(
    several: Sequence[Configuration],
) -> tuple[dict[str, list[float]], list[str]]:
    """Ranks of each configuration over the blocks that all of them have, and what they say.

    By the run of a configuration's first trial, as configurations may share a name.
    """
    shared = set.intersection(*({*map(block, each.trials)} for each in several))
    if len(several) < 2 or len(shared) < 2:
        return {}, []
    order = sorted(shared)
    scores = np.array(
        [[reported_auc(_by_block(each)[one]) for each in several] for one in order],
        dtype=np.float64,
    )
    ranks, agreement, p = rank_stability(scores)
    found = {each.trials[0].run_id: ranks[:, i].tolist() for i, each in enumerate(several)}
    firsts = {int(place) for place in np.argmin(ranks, axis=1)}
    names = ", ".join(sorted(several[place].name for place in firsts))
    notes = [
        f"Over {len(order)} blocks {len(firsts)} of {len(several)} configurations "
        f"{'comes' if len(firsts) == 1 else 'come'} first at least once ({names})."
    ]
    if not math.isnan(agreement):
        notes.append(
            f"Agreement of the ranks: Kendall's W {agreement:.2f} (0 none, 1 full), Friedman's p "
            f"{p_cell(p)} that configurations do not differ. It takes blocks as independent."
        )
    return found, notes
