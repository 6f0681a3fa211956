"""Which settings of a trial become parameters in MLflow: those that someone set, or that vary."""

from __future__ import annotations

import re

from mcalc.config import (
    AUTOMATIC,
    Config,
    PlannedTrial,
    entries,
    flatten,
    name_without_repetition,
)

_ALWAYS = ("seed", "backbone.name", "data.source", "protocol.name")
"""What every reader of a list of runs asks for first."""
_SINGLE = re.compile(r"-seed\d+$")
"""End of a single trial's name that was made from its settings."""


def shown_settings(trial: PlannedTrial) -> set[str]:
    """Keys of settings that are not as by default, that the trial's sweep varies, or of `_ALWAYS`.

    What was `auto` is as the machine decided; tags say how.
    """
    known = entries()
    changed = {
        key
        for key, value in flatten(trial.config).items()
        if key not in AUTOMATIC and not known[key].is_default(value)
    }
    # the run itself has the name
    return {*changed, *trial.values, *_ALWAYS} - {"name"}


def configuration_of(name: str, config: Config) -> str:
    """What a trial has in common with its repetitions: its name without seed and fold."""
    return _SINGLE.sub("", name_without_repetition(name)) or config.backbone.name
