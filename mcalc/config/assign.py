"""Values put into a typed Config by dotted key: what composing does, without Hydra's cost.

Composing a config takes milliseconds; a plan of ten thousand trials sets a few values in each.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, get_origin

from mcalc.config.paths import entries
from mcalc.config.schema import Config
from mcalc.errors import UserError, shown
from mcalc.secret_text import argument_shown
from mcalc.yaml_file import Written, numbers

KINDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    list[str]: "a list of texts, as in [a, b]",
    type(None): "null",
}
"""What messages call the types of values."""


def updated(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of the config with these values (`{"head.weight_lr": 10}`), every rule checked.

    Raises UserError for a key that is not a single setting, and a value of wrong type or range.
    """
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = convert(key, value)
    changed: Config = _replaced(config, tree)
    return changed


def read(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    return attrgetter(key)(config)


def convert(key: str, value: Any) -> Any:
    """A value in the type of its key. Raises UserError where it has none or does not fit."""
    kinds = _kinds_of(key)
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is bool:
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in ("true", "false"):
                return value.lower() == "true"
        elif kind is str:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return str(value)
        elif kind == list[str]:
            if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
                return list(value)
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            if str(value) in kind.__members__:
                return kind[str(value)]
        elif kind in (int, float):
            number = _number(value)
            if number is not None and (kind is float or number == int(number)):
                return kind(number)
    expected = " or ".join(
        f"one of {words_of(kind)}" if words_of(kind) else KINDS[kind] for kind in kinds
    )
    given = "null" if value is None else value if isinstance(value, str) else shown(value)
    # hidden before it is cut, as the cut may hide that it is an address
    given = argument_shown(f"{key}={given}")[: len(key) + 81]
    raise UserError(f"{given} is not understood: expected {expected}")


def settled(key: str, value: Any) -> Any:
    """A value of a YAML file as its key takes it.

    `010`, `1.50` and `1e-3` stay text for a key that holds text, and are numbers for any other.
    """
    entry = entries().get(key)
    if entry and not entry.is_section and any(_is_text(kind) for kind in entry.kinds):
        return _as_text(value)
    return numbers(value)


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return str(value) if isinstance(value, Written) else value


def _is_text(kind: Any) -> bool:
    return kind in (str, list[str]) or bool(words_of(kind))


def _replaced(section: Any, tree: Mapping[str, Any]) -> Any:
    changes = {
        name: _replaced(getattr(section, name), value) if isinstance(value, dict) else value
        for name, value in tree.items()
    }
    return replace(section, **changes)


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) <= sys.float_info.max else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def words_of(kind: Any) -> str:
    """The words that a setting of this type takes; empty where it is no choice."""
    return ", ".join(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ""


def _kinds_of(key: str) -> tuple[Any, ...]:
    """The types that a key takes, of `float`, `int | None` and the like."""
    entry = entries().get(key)
    if entry is None:
        raise UserError(f"unknown key {key!r}")
    if entry.is_section or (get_origin(entry.kinds[0]) and entry.kinds[0] not in KINDS):
        raise UserError(f"{key} is a section, not a single setting: name a key in it")
    return entry.kinds
