"""Trials of one configuration: those that differ in nothing but seed or fold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mcalc.config import REPEATED as REPEATED
from mcalc.config import entries, is_numeric, name_without_repetition
from mcalc.results import RecordedTrial


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
    """A trial's name without seed and fold: `AL1` of `AL1, seed=0`.

    The backbone's where the name has nothing else: `alexnet` of `seed=0`.
    """
    return name_without_repetition(trial.name) or trial.params.get("backbone.name", trial.name)


def block(trial: RecordedTrial) -> tuple[str, ...]:
    """Seed and fold: trials of one block have the same split, order of images and head."""
    return tuple(trial.params.get(name, "") for name in REPEATED)


def partition(trial: RecordedTrial) -> tuple[str, ...]:
    """What folds of one partition share."""
    return tuple(trial.params.get(name, "") for name in REPEATED if name != "protocol.fold")


def block_label(trial: RecordedTrial) -> str:
    """A trial's seed, and its fold where folds are split: `seed 0, fold 2`."""
    words = [f"seed {trial.params.get('seed', '?')}"]
    if trial.tags.get("mcalc.protocol") == "cv":
        words.append(f"fold {trial.params.get('protocol.fold', '?')}")
        if trial.params.get("protocol.repeat", "0") != "0":
            words.append(f"repeat {trial.params['protocol.repeat']}")
    return ", ".join(words)


def overlap(trials: Sequence[RecordedTrial]) -> float:
    """Lesions tested by lesions trained on; 0 where all trials have one split."""
    if len({trial.tags.get("mcalc.split") for trial in trials}) == 1:
        return 0.0
    return tested_by_trained(trials[0])


def tested_by_trained(first: RecordedTrial) -> float:
    """Lesions tested by lesions trained on, by the counts of a record, else by its protocol."""
    whole = re.search(r"([0-9]+) lesions of", first.tags.get("mcalc.data", ""))
    parts = Counter(each.subset for each in first.evidence)
    if whole and parts["reported"] and first.tags.get("mcalc.protocol") != "paper_augment_first":
        trained = int(whole.group(1)) - parts["reported"] - parts["validation"]
        if trained > 0:
            return parts["reported"] / trained
    if first.tags.get("mcalc.protocol") == "cv":
        tested = 1 / float(first.param("protocol.folds") or 5)
    else:
        tested = float(first.param("protocol.held_out") or 0.3)
    kept = float(first.param("protocol.validation") or 0)
    # validation is a share of what is not reported
    return tested / ((1 - tested) * (1 - kept))


def _settings(trial: RecordedTrial) -> tuple[tuple[str, str], ...]:
    known = entries()
    return tuple(
        (key, value)
        for key, value in sorted(trial.params.items())
        if key not in REPEATED and key in known and is_numeric(key)
    )
