"""The facts that stand below every page: what made these numbers, of one trial or of many."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from mcalc.config import is_numeric
from mcalc.report.cautions import grouped
from mcalc.results import RecordedTrial

UNKNOWN = "not recorded"
Fact = tuple[str, str]
"""What it is, and its value."""

_TAGS = (
    ("Data", "data"),
    ("Fingerprint of the data", "fingerprint"),
    ("Protocol", "protocol"),
    ("Fingerprint of the split", "split"),
    ("Patients on both sides", "leak"),
    ("Weights", "weights"),
    ("Arithmetic", "precision"),
    ("Threads", "threads"),
    ("Memory format", "memory_format"),
    ("Device", "device"),
    ("Processor", "cpu"),
    ("Commit of the code", "git"),
    ("Format of the record", "format"),
)
"""Names for people, and tags `mcalc.*`."""
_LIBRARIES = ("mcalc", "torch", "torchvision", "python")
_MOST_VALUES = 4
"""Different values that a line of many trials names."""


def trial_facts(trial: RecordedTrial) -> list[Fact]:
    """What made one trial's numbers: date, versions, data, split, seed, arithmetic, code."""
    return [(name, value(trial)) for name, value in _facts()]


def page_facts(trials: Sequence[RecordedTrial]) -> list[Fact]:
    """As `trial_facts` of many trials: what differs is named with the trials that have it."""
    return [(name, _of_many(trials, value)) for name, value in _facts()] if trials else []


def settings_of(trial: RecordedTrial) -> list[Fact]:
    """Every recorded setting, those that change numbers first."""
    every = sorted(trial.params.items(), key=lambda pair: (not _changes(pair[0]), pair[0]))
    return [(key, value) for key, value in every if key != "name"]


def _changes(key: str) -> bool:
    try:
        return is_numeric(key)
    except KeyError:  # of another version
        return False


def _facts() -> list[tuple[str, Callable[[RecordedTrial], str]]]:
    versions = [(f"Version of {name}", _version(name)) for name in _LIBRARIES]
    tags = [(name, _tag(tag)) for name, tag in _TAGS]
    return [("Recorded", _date), *versions, ("Seed", _seed), *tags]


def _of_many(trials: Sequence[RecordedTrial], value: Callable[[RecordedTrial], str]) -> str:
    values = list(dict.fromkeys(value(trial) for trial in trials))
    if len(values) == 1:
        return values[0]
    if len(values) <= _MOST_VALUES and len(trials) <= 2 * _MOST_VALUES:
        return grouped(trials, value)
    shown = sorted(values, key=_in_order)
    if len(values) <= 2 * _MOST_VALUES:
        return ", ".join(shown)
    return f"{len(values)} values, from {shown[0]} to {shown[-1]}"


def _in_order(text: str) -> tuple[bool, float, str]:
    """Sorts 10 after 9: numbers by their size, before words."""
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def _date(trial: RecordedTrial) -> str:
    return trial.ended or UNKNOWN


def _seed(trial: RecordedTrial) -> str:
    seed = trial.params.get("seed", UNKNOWN)
    own = trial.params.get("protocol.seed", "None")
    return seed if own == "None" else f"{seed}; of the split {own}"


def _version(library: str) -> Callable[[RecordedTrial], str]:
    def text(trial: RecordedTrial) -> str:
        try:
            known = json.loads(trial.tags.get("mcalc.versions", "{}"))
        except ValueError:
            known = {}
        return str(known.get(library, UNKNOWN)) if isinstance(known, dict) else UNKNOWN

    return text


def _tag(name: str) -> Callable[[RecordedTrial], str]:
    return lambda trial: trial.tags.get(f"mcalc.{name}", UNKNOWN)
