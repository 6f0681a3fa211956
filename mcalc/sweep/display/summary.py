"""A sweep in figures: what its parent run in MLflow keeps when it ends."""

from __future__ import annotations

import json
import math
import re
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from mcalc.iteration import grouped
from mcalc.results import VALIDATION_AUC, Outcome
from mcalc.sweep.store import SweepStudy, best_of, result, run_ids, trajectory_of
from mcalc.tracking.names import is_baseline

_FEWEST = 4
"""Complete trials below which the importance of a parameter says nothing."""
_SEED = re.compile(r", seed=\d+$")


@dataclass(frozen=True)
class Summary:
    """Figures over the trials that count: the last attempt at each."""

    metrics: dict[str, float]
    best: str | None
    """The trial that leads, by `best_by`."""
    best_by: str
    """`validation AUC`, a search's objective, or `reported accuracy`. The last is no choice to rely
    on: what is reported has also stopped training."""
    over_seeds: dict[str, dict[str, float]]
    """By configuration that was run with several seeds: n, mean and SD of the value."""
    importance: dict[str, float]
    """Share (0..1) of the value's variance that goes with each parameter (Optuna's fANOVA)."""
    numerics: dict[str, int]
    """Complete trials by the version of the code's numerics that computed them; above all of them
    the figures are."""

    def as_json(self) -> str:
        """All of it, for MLflow."""
        content: dict[str, Any] = {
            "figures": self.metrics,
            "best": self.best,
            "best by": self.best_by,
            "over seeds": self.over_seeds,
            "importance of parameters": self.importance,
            "trials by version of the numerics": self.numerics,
        }
        return json.dumps(content, indent=2, ensure_ascii=False)


def summarise(study: SweepStudy) -> Summary:
    """The summary of what a study holds now."""
    newest = study.current()
    complete = [a for a in newest if a.state is TrialState.COMPLETE and a.value is not None]
    counts = {state: sum(a.state is state for a in newest) for state in TrialState}
    values = [float(a.value or 0.0) for a in complete]
    metrics = {
        "trials": float(len(newest)),
        "trials_finished": float(counts[TrialState.COMPLETE]),
        "trials_pruned": float(counts[TrialState.PRUNED]),
        "trials_failed": float(counts[TrialState.FAIL]),
        "trajectories": float(len({trajectory_of(a) for a in newest})),
        **_compute(newest),
    }
    best = best_of(newest, study.study.direction)
    if best is not None and best.value is not None:
        metrics["best_value"] = best.value
        for name in ("accuracy_low", "accuracy_high"):
            if name in result(best):
                metrics[f"best_{name}"] = result(best)[name]
        metrics["mean_value"] = statistics.fmean(values)
        if len(values) > 1:
            metrics["sd_value"] = statistics.stdev(values)
    return Summary(
        metrics=metrics,
        best=str(best.user_attrs.get("name")) if best else None,
        best_by=_best_by(study, best),
        over_seeds=_over_seeds(complete),
        importance=_importance(study, complete),
        numerics=dict(Counter(_numerics(attempt) for attempt in complete)),
    )


def _numerics(attempt: FrozenTrial) -> str:
    return str(attempt.user_attrs.get("identity", {}).get("numerics", "not recorded"))


def mean_baselines(
    study: SweepStudy,
    outcomes: Iterable[Outcome],
    read: Callable[[str], Mapping[str, float]],
) -> dict[str, float]:
    """Scores without an image, the mean over the complete trials that count.

    Args:
        study: the sweep.
        outcomes: of this command.
        read: those that a run has, by its id, for the trials that it did not run.
    """
    now = {each.key: each.metrics for each in outcomes if any(map(is_baseline, each.metrics))}
    found: dict[str, list[float]] = {}
    for attempt in study.current():
        if attempt.state is not TrialState.COMPLETE:
            continue
        key = str(attempt.user_attrs.get("key"))
        for name, value in (now.get(key) or _mean(map(read, run_ids(attempt)))).items():
            if is_baseline(name) and math.isfinite(value):
                found.setdefault(name, []).append(value)
    # of equal numbers the mean may differ in the last bit
    return {n: v[0] if len(set(v)) == 1 else statistics.fmean(v) for n, v in found.items()}


def _mean(seeds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Of a configuration the mean over its seeds, of what all of them have."""
    several = list(seeds)
    names = set.intersection(*map(set, several)) if several else set()
    return {name: statistics.fmean(each[name] for each in several) for name in names}


def _best_by(study: SweepStudy, best: FrozenTrial | None) -> str:
    if study.definition is not None:
        return str(study.definition.get("objective", "objective"))
    if best is None or VALIDATION_AUC not in result(best):
        return "reported accuracy"
    repeated = _SEED.search(str(best.user_attrs.get("name")))
    return "validation AUC" + ", each seed on its own split" * bool(repeated)


def _compute(newest: Sequence[FrozenTrial]) -> dict[str, float]:
    """Iterations trained, and those that sharing saved: each trial alone would take its own."""
    counted = [a for a in newest if "iterations" in result(a)]
    runs = [
        [result(a)["iterations"] for a in run] for run in grouped(counted, trajectory_of).values()
    ]
    trained, alone = sum(map(max, runs)), sum(map(sum, runs))
    whole = [result(a)["iterations"] for a in counted if a.state is TrialState.COMPLETE]
    cut = [result(a).get("iterations", 0.0) for a in newest if a.state is TrialState.PRUNED]
    # a pruned run might have gone on as long as the complete ones did on the average
    saved = sum(max(0.0, statistics.fmean(whole) - each) for each in cut) if whole else 0.0
    return {
        "iterations_trained": trained,
        "iterations_saved_by_sharing": alone - trained,
        "iterations_saved_by_pruning": saved,
    }


def _over_seeds(complete: Sequence[FrozenTrial]) -> dict[str, dict[str, float]]:
    seeded = [a for a in complete if _SEED.search(str(a.user_attrs.get("name")))]
    groups = grouped(seeded, lambda attempt: _SEED.sub("", str(attempt.user_attrs["name"])))
    over = {name: [float(a.value or 0.0) for a in group] for name, group in groups.items()}
    return {
        name: {"n": float(len(v)), "mean": statistics.fmean(v), "sd": statistics.stdev(v)}
        for name, v in over.items()
        if len(v) > 1
    }


def _importance(study: SweepStudy, complete: Sequence[FrozenTrial]) -> dict[str, float]:
    """Optuna's importances, over trials whose ranges are made one.

    Rows added later widen the range of a number, and Optuna compares only what has one range.
    """
    if len(complete) < _FEWEST or len({attempt.value for attempt in complete}) < 2:
        return {}
    names = set.intersection(*(set(attempt.params) for attempt in complete))
    seen = {name: [attempt.params[name] for attempt in complete] for name in names}
    space: dict[str, BaseDistribution] = {}
    for name, values in seen.items():
        if len(set(values)) < 2:
            continue
        if all(isinstance(value, int | float) for value in values):
            space[name] = FloatDistribution(float(min(values)), float(max(values)))
        else:
            space[name] = CategoricalDistribution(tuple(sorted({str(v) for v in values})))
    if not space:
        return {}
    own = optuna.create_study(direction=study.study.direction)
    for attempt in complete:
        params = {
            name: float(attempt.params[name])
            if isinstance(entry, FloatDistribution)
            else str(attempt.params[name])
            for name, entry in space.items()
        }
        own.add_trial(create_trial(params=params, distributions=space, value=attempt.value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(own, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
