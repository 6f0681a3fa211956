"""One trial as Optuna has it, against its run as MLflow has it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mcalc.results import CurvePoint, Predictions, RecordedTrial
from mcalc.sweep.store import DEFINITION, SweepStudy, result

_TOLERANCE = 1e-12
_EXACT = ("accuracy", "auc")
"""Figures that every version computed alike."""


def run_ids(attempt: FrozenTrial) -> list[str]:
    """The MLflow runs of an attempt: one, or one a seed of a search's configuration."""
    facts = attempt.user_attrs
    several = facts.get("runs")
    if several:
        return [str(run_id) for run_id in several.values()]
    return [str(facts["mlflow_run"])] if facts.get("mlflow_run") else []


def identity_problems(study: SweepStudy, attempt: FrozenTrial, run: RecordedTrial) -> Iterator[str]:
    """Where an attempt says that it is another trial than its run is."""
    facts = attempt.user_attrs
    if facts.get("key") != run.key:
        yield f"its key is {facts.get('key')} in Optuna, {run.key} in MLflow"
    if facts.get("name") != run.name:
        yield f"its run is called {run.name} in MLflow"
    identity: Mapping[str, Any] = facts.get("identity", {})
    for tag in ("trajectory", "fingerprint"):
        known, ours = run.tags.get(f"mcalc.{tag}"), identity.get(tag)
        if known is not None and ours is not None and known != ours:
            yield f"its {tag} is {ours} in Optuna, {known} in MLflow"
    settings = {**study.shared, **identity.get("settings", {})}
    for name, value in settings.items():
        if name in run.params and run.params[name] != str(value):
            yield f"its {name} is {value} in Optuna, {run.params[name]} in MLflow"
    values: Mapping[str, Any] = identity.get("values", {})
    for name, drawn in attempt.params.items():
        if name in values and values[name] != drawn:
            yield f"its parameter {name} is {drawn}, and was planned as {values[name]}"


def attempt_problems(
    study: SweepStudy, attempt: FrozenTrial, run: RecordedTrial, curve: Sequence[CurvePoint]
) -> Iterator[str]:
    """Where the figures of an attempt are not those of its run."""
    definition = study.facts().get(DEFINITION)
    objective = definition["objective"] if definition else None
    if attempt.state is TrialState.COMPLETE:
        name = f"reported_{objective}" if objective else "accuracy"
        recorded = run.metrics.get(name)
        if not _is_same(attempt.value, recorded):
            yield f"value {attempt.value} in Optuna, and {name} {recorded} in MLflow"
    for name, value in result(attempt).items():
        if not _is_same(value, run.metrics.get(name)):
            yield f"{name} {value} in Optuna, {run.metrics.get(name)} in MLflow"
    if objective and curve:
        for evaluation, value in attempt.intermediate_values.items():
            point = curve[evaluation - 1] if 0 < evaluation <= len(curve) else None
            if not _is_same(value, getattr(point, str(objective), None)):
                yield f"its evaluation {evaluation} is {value} in Optuna, and not in its curve"


def score_problems(run: RecordedTrial, predictions: Predictions | None) -> Iterator[str]:
    """Where the figures of a run without a manifest do not follow from its predictions."""
    if predictions is None:
        yield "its predictions are missing"
        return
    # late: SciPy, which a sweep that only looks at runs' ids does without
    from mcalc.evaluation import all_scores

    for name, value in all_scores(predictions.labels, predictions.probabilities).items():
        recorded = run.metrics.get(name)
        # a figure that was recorded by an earlier version may have had another interval
        if name in _EXACT and math.isfinite(value) and not _is_same(value, recorded):
            yield f"its {name} is {recorded}, and its predictions give {value}"


def _is_same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or abs(one - other) <= _TOLERANCE or (one != one and other != other)
