"""Trials of one configuration: those that differ in nothing but seed or fold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcalc.config import entries, is_numeric
from mcalc.results import RecordedTrial

REPEATED = ("seed", "protocol.seed", "protocol.fold")
"""Settings that make repetitions of a configuration."""

_SUFFIX = re.compile(rf"(?:, |^)(?:{'|'.join(map(re.escape, REPEATED))})=[^,]*")


@dataclass(frozen=True)
class Configuration:
    """A configuration with all that is recorded of it."""

    name: str
    """Of its trials, without their seeds and folds."""
    trials: tuple[RecordedTrial, ...]
    """At least one."""


def configurations(trials: Sequence[RecordedTrial]) -> list[Configuration]:
    """Trials by configuration, in order of appearance.

    By their recorded settings and their name without seed and fold.
    """
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[RecordedTrial]] = {}
    for trial in trials:
        groups.setdefault((base_name(trial), _settings(trial)), []).append(trial)
    return [Configuration(name, tuple(members)) for (name, _), members in groups.items()]


def base_name(trial: RecordedTrial) -> str:
    """A trial's name without seed and fold: `AL1` of `AL1, seed=0`."""
    return _SUFFIX.sub("", trial.name).strip(", ") or trial.name


def block(trial: RecordedTrial) -> tuple[str, ...]:
    """Seed and fold: trials of one block have the same split, order of images and head."""
    return tuple(trial.params.get(name, "") for name in REPEATED)


def block_label(trial: RecordedTrial) -> str:
    """A trial's seed, and its fold where folds are split: `seed 0, fold 2`."""
    words = [f"seed {trial.params.get('seed', '?')}"]
    if trial.tags.get("mcalc.protocol") == "cv":
        words.append(f"fold {trial.params.get('protocol.fold', '?')}")
    return ", ".join(words)


def _settings(trial: RecordedTrial) -> tuple[tuple[str, str], ...]:
    known = entries()
    return tuple(
        (key, value)
        for key, value in sorted(trial.params.items())
        if key not in REPEATED and key in known and is_numeric(key)
    )
