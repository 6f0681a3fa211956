"""What the study keeps of a trial: what it is, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mcalc.config import NUMERICS_VERSION, PlannedTrial, differences, numeric_settings
from mcalc.results import VALIDATION_AUC, Outcome

RESULTS = ("accuracy_low", "accuracy_high", "auc", VALIDATION_AUC, "iterations", "seconds")
"""Metrics of a trial that the study keeps beside its value."""
FLAT = ("accuracy", "accuracy_low", "accuracy_high", "auc", VALIDATION_AUC)
"""Those that are attributes of their own too: optuna-dashboard shows them as columns."""
EVALUATED = "val_accuracy"
"""What an explicit trial reports at each evaluation: as its value, an accuracy."""
METRIC_NAMES = {
    "val_auc": "validation AUC",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    None: "reported accuracy",
}
"""What the value of a study is, by the objective of its search; explicit trials have none."""


OUTDATED = "was cut off, and its numbers would be others now"
"""Why an attempt is closed that a stopped worker left, and that is not gone on with."""
HALF_DRAWN = "was cut off before all of its parameters were drawn"
"""Why a search goes on with another configuration; a draw of this version is whole or not there."""


def undrawn(attempt: FrozenTrial, definition: Mapping[str, Any] | None) -> list[str]:
    """Parameters of a search's space that an attempt never had; of explicit trials none."""
    space = (definition or {}).get("space", ())
    planned = attempt.user_attrs.get("identity", {}).get("values", {})
    return [name for name in space if name not in attempt.params and name not in planned]


def ended(outcome: Outcome) -> tuple[dict[str, Any], TrialState]:
    """What the study keeps of an outcome."""
    states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    known = {name: outcome.metrics.get(name, math.nan) for name in RESULTS}
    facts: dict[str, Any] = {
        "result": {name: value for name, value in known.items() if math.isfinite(value)}
    }
    flat = {name: outcome.metrics.get(name, math.nan) for name in FLAT}
    facts |= {name: value for name, value in flat.items() if math.isfinite(value)}
    if outcome.manifest:
        facts["manifest"] = outcome.manifest
    if outcome.error:
        facts["error"] = outcome.error[:2000]
    return facts, states.get(outcome.state, TrialState.FAIL)


def trajectory_of(attempt: FrozenTrial) -> str:
    """Key of the training run that an attempt is taken from."""
    return str(attempt.user_attrs.get("identity", {}).get("trajectory", ""))


def run_ids(attempt: FrozenTrial) -> list[str]:
    """The MLflow runs of an attempt: one, or one a seed of a search's configuration."""
    facts = attempt.user_attrs
    several = facts.get("runs")
    if several:
        return [str(run_id) for run_id in several.values()]
    return [str(facts["mlflow_run"])] if facts.get("mlflow_run") else []


def result(attempt: FrozenTrial) -> dict[str, float]:
    """What the study keeps of an attempt's metrics: those of `RESULTS` that it had."""
    return dict(attempt.user_attrs.get("result", {}))


def identity_of(trial: PlannedTrial, shared: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What an attempt is: the attributes of its entry. `number`: which attempt at its trial."""
    settings = numeric_settings(trial.config)
    return {
        "key": trial.key,
        "name": trial.name,
        # in one piece, as each attribute is a row of its own in the store
        "identity": {
            "attempt": number,
            "trajectory": trial.trajectory,
            "values": dict(trial.values),
            "numerics": NUMERICS_VERSION,
            "fingerprint": trial.fingerprint,
            # what is not as all trials of the sweep have it
            "settings": {
                **{key: now for key, (_, now) in differences(shared, settings).items()},
                **{key: value for key, value in settings.items() if key not in shared},
            },
        },
    }
