"""One trial as Optuna has it, against its run as MLflow has it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mcalc.config import SHA256
from mcalc.results import CurvePoint, Predictions, RecordedTrial
from mcalc.sweep.store import EVALUATED, FLAT, RESULTS, SweepStudy, result

_TOLERANCE = 1e-12
_TAGS = ("trajectory", "fingerprint")
_EXACT = ("accuracy", "auc")
"""Figures that every version computed alike."""


def identity_known(attempt: FrozenTrial) -> bool:
    """Whether an entry says what its trial is."""
    return "identity" in attempt.user_attrs


def identity_problems(study: SweepStudy, attempt: FrozenTrial, run: RecordedTrial) -> Iterator[str]:
    """Where an attempt says that it is another trial than its run is."""
    facts = attempt.user_attrs
    if facts.get("key") != run.key:
        yield f"its key is {facts.get('key')} in Optuna, {run.key} in MLflow"
    if not identity_known(attempt):
        yield "its identity is missing in Optuna"
    if facts.get("name") != run.name:
        yield f"its run is called {run.name} in MLflow"
    identity: Mapping[str, Any] = facts.get("identity", {})
    for tag in _TAGS:
        known, ours = run.tags.get(f"mcalc.{tag}"), identity.get(tag)
        if known is not None and ours is not None and known != ours:
            yield f"its {tag} is {ours} in Optuna, {known} in MLflow"
    settings = {**study.shared, **identity.get("settings", {})}
    contents = run.identity.get("files") or {}
    for name, value in settings.items():
        # a file that varies counts by its content; the parameter of its run is its path
        of_content = str(value).startswith(SHA256)
        recorded = (contents if of_content else run.params).get(name)
        if recorded is not None and recorded != str(value):
            yield f"its {name} is {value} in Optuna, {recorded} in MLflow"
    yield from _parameter_problems(study, attempt, identity)
    numerics = run.numerics
    if numerics is not None and identity.get("numerics", numerics) != numerics:
        yield f"its numerics are {identity['numerics']} in Optuna, {numerics} in MLflow"


def _parameter_problems(
    study: SweepStudy, attempt: FrozenTrial, identity: Mapping[str, Any]
) -> Iterator[str]:
    values: Mapping[str, Any] = identity.get("values", {})
    for name, drawn in attempt.params.items():
        if name not in values:
            yield f"its parameter {name} was not planned"
        elif values[name] != drawn:
            yield f"its parameter {name} is {drawn}, and was planned as {values[name]}"
    # of explicit trials it may be missing: a category that came later
    for name in values if study.definition is not None else ():
        if name not in attempt.params:
            yield f"its parameter {name} is missing"


def identity_of(study: SweepStudy, attempt: FrozenTrial, run: RecordedTrial) -> dict[str, Any]:
    """What a trial is by its run, and by its entry where the run does not say."""
    known: Mapping[str, Any] = attempt.user_attrs.get("identity", {})
    planned: Mapping[str, Any] = known.get("values", {})
    space = (study.definition or {}).get("space", planned)
    values = {
        name: _recorded(run, name, planned.get(name), attempt.params.get(name))
        for name in (space or {**attempt.params, **planned})
    }
    settings = {
        name: value
        for name, value in {**known.get("settings", {}), **values}.items()
        if run.params.get(name, str(value)) == str(value)
    }
    facts = {tag: run.tags.get(f"mcalc.{tag}", known.get(tag, "")) for tag in _TAGS}
    numerics = run.numerics
    numerics = known.get("numerics", 0) if numerics is None else numerics
    attempts = known.get("attempt", 1)
    return {
        "attempt": attempts,
        **facts,
        "numerics": numerics,
        "values": values,
        "settings": settings,
    }


def _recorded(run: RecordedTrial, name: str, *candidates: Any) -> Any:
    """A setting of a run, as the first candidate that its text is of; else as a number, or text."""
    text = run.params.get(name)
    given = [each for each in candidates if each is not None]
    for each in given:
        if text is None or text == str(each):
            return each
        if isinstance(each, int | float) and text == str(float(each)):
            return each
    return run.param(name)


def attempt_problems(
    study: SweepStudy, attempt: FrozenTrial, run: RecordedTrial, curve: Sequence[CurvePoint]
) -> Iterator[str]:
    """Where the figures of an attempt are not those of its run."""
    objective = study.definition["objective"] if study.definition else None
    if attempt.state is TrialState.COMPLETE:
        name = f"reported_{objective}" if objective else "accuracy"
        recorded = run.metrics.get(name)
        if not _is_same(attempt.value, recorded):
            yield f"value {attempt.value} in Optuna, and {name} {recorded} in MLflow"
    kept, sealed = result(attempt), str(attempt.user_attrs.get("manifest", ""))
    for name in FLAT:
        # earlier versions did not write them
        if name in attempt.user_attrs and not _is_same(
            attempt.user_attrs[name], run.metrics.get(name)
        ):
            yield f"{name} {attempt.user_attrs[name]} in Optuna, {run.metrics.get(name)} in MLflow"
    if sealed != run.manifest:
        yield f"the digest of its manifest is {sealed or 'gone'} in Optuna"
    for name in {**dict.fromkeys(RESULTS if sealed else ()), **kept}:
        value = kept.get(name)
        if not _is_same(value, run.metrics.get(name)):
            yield f"{name} {value} in Optuna, {run.metrics.get(name)} in MLflow"
    # explicit trials of earlier versions have no evaluations
    if curve and (objective or attempt.intermediate_values):
        missing = {*range(1, len(curve) + 1)} - {*attempt.intermediate_values}
        if sealed and missing:
            yield f"its evaluation {min(missing)} is not in Optuna"
        for evaluation, value in attempt.intermediate_values.items():
            point = curve[evaluation - 1] if 0 < evaluation <= len(curve) else None
            if not _is_same(value, getattr(point, str(objective or EVALUATED), None)):
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
