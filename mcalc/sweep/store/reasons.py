"""Why a planned trial that is not recorded has to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from mcalc.config import NUMERICS_VERSION, Config, differences, numeric_settings
from mcalc.sweep.planning import Plan


def why_new(plan: Plan, recorded: Sequence[FrozenTrial]) -> dict[str, str]:
    """By key, why a planned trial that is not recorded has to run: against the last of its name."""
    by_name = {
        attempt.user_attrs.get("name"): attempt.user_attrs.get("identity", {})
        for attempt in recorded
    }
    keys = {attempt.user_attrs.get("key") for attempt in recorded}
    reasons = {}
    for trial in plan.trials:
        if trial.key in keys:
            continue
        known = by_name.get(trial.name)
        reasons[trial.key] = "new" if known is None else _difference(plan, trial.config, known)
    return reasons


def _difference(plan: Plan, config: Config, known: Mapping[str, Any]) -> str:
    if known.get("numerics") != NUMERICS_VERSION:
        return f"the code's numerics changed ({known.get('numerics')} to {NUMERICS_VERSION})"
    now = numeric_settings(config)
    was = {**plan.shared, **known.get("settings", {})}
    changed = [
        f"{key} {formatted(before)} to {formatted(value)}"
        for key, (before, value) in differences(was, now).items()
    ]
    if known.get("fingerprint") != plan.fingerprint:
        changed.append("the data changed")
    return "changed: " + ", ".join(changed) if changed else "its settings changed"


def formatted(value: Any) -> str:
    """A setting's value as messages show it."""
    return "null" if value is None else str(value)
