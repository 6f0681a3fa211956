"""Values put into a typed Config by dotted key: what composing does, without Hydra's cost.

Composing a config takes milliseconds; a plan of ten thousand trials sets a few values in each.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from mcalc.config.schema import Config
from mcalc.errors import UserError

KINDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
}
"""What a user is told to give."""


def updated(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of the config with these values (`{"head.weight_lr": 10}`), every rule checked.

    Raises UserError for a key that is no single setting, or a value of the wrong type or range.
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
    found: Any = config
    for name in key.split("."):
        found = getattr(found, name)
    return found


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
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            if str(value) in kind.__members__:
                return kind[str(value)]
        elif kind in (int, float):
            number = _number(value)
            if number is not None and (kind is float or number == int(number)):
                return kind(number)
    expected = " or ".join(_expected(kind) for kind in kinds)
    given = "null" if value is None else value
    raise UserError(f"{key}={given} is not understood: expected {expected}")


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
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _expected(kind: Any) -> str:
    if kind is type(None):
        return "null"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "one of " + ", ".join(kind)
    return KINDS.get(kind, str(kind))


@cache
def _kinds_of(key: str) -> tuple[Any, ...]:
    """The types that a key takes, of `float`, `int | None` and the like."""
    kind: Any = Config
    for name in key.split("."):
        hints = _hints(kind) if isinstance(kind, type) and is_dataclass(kind) else {}
        if name not in hints:
            raise UserError(f"unknown key {key!r}")
        kind = hints[name]
    if is_dataclass(kind) or get_origin(kind) in (list, dict):
        raise UserError(f"{key} is a section, not a single setting: name a key in it")
    if get_origin(kind) in (Union, types.UnionType):
        return get_args(kind)
    return (kind,)


@cache
def _hints(schema: type) -> dict[str, Any]:
    names = {entry.name for entry in fields(schema)}
    return {name: hint for name, hint in get_type_hints(schema).items() if name in names}
