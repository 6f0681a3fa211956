"""What a setting's field says beside its type and default: range, neutral value, use in the key.

    weight_lr: float = setting(10.0, low=0)
    lr_decay: float = setting(1.0, above=0, high=1, neutral=1.0)

`Section` checks the ranges of all its fields, so that a section states only rules between fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mcalc.errors import UserError, shown

T = TypeVar("T")


class _Unset:
    """A field that states no neutral value; None may be one."""


UNSET = _Unset()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a field states about its values. A bound that is None does not limit."""

    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value."""
    above: float | None = None
    """Values are larger than this."""
    below: float | None = None
    """Values are smaller than this."""
    neutral: Any = UNSET
    """The value at which everything is as if the setting did not exist: no part of any hash."""
    numeric: bool = True
    """Whether a trial's numbers depend on it; for a section, on anything in it."""
    path: bool = False
    """A path, whose leading `~` is the home folder."""
    hidden: bool = False
    """Not for users: help and the settings page omit it."""

    def allow(self, value: float) -> bool:
        """Whether a number is finite and within the bounds."""
        return (
            -math.inf < value < math.inf  # math.isfinite cannot take a whole number above 1e308
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def range(self) -> str:
        """`from 0 to 1`, `above 0`; empty where nothing limits."""
        bounds = {"from": self.low, "above": self.above, "to": self.high, "and below": self.below}
        # 12 digits: a large whole number, as of a seed, is written out
        stated = (f"{word} {end:.12g}" for word, end in bounds.items() if end is not None)
        return " ".join(stated)

    def expected(self, *, optional: bool) -> str:
        """What messages expect of a number: `a number from 0 to 1, or null`."""
        return f"a number {self.range()}{', or null' if optional else ''}"


_PLAIN = Rules()


def setting(default: T, **rules: Any) -> T:
    """A field with these `Rules`. A default that is a list is copied for each config."""
    metadata = {"rules": Rules(**rules)}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)  # type: ignore[return-value]
    return field(default=default, metadata=metadata)


def section(kind: type[T], **rules: Any) -> T:
    """A field that holds a section, by default one with all its defaults."""
    return field(default_factory=kind, metadata={"rules": Rules(**rules)})


def rules_of(entry: Any) -> Rules:
    """The rules of a dataclass field; none limit a field without `setting`."""
    found: Rules = entry.metadata.get("rules", _PLAIN)
    return found


@cache
def _checked(section: type) -> tuple[tuple[str, Rules, bool], ...]:
    """Of each field of a section its name, its rules and whether it may be null.

    Looked up once: a plan makes two sections for each of its trials.
    """
    return tuple((each.name, rules_of(each), "None" in str(each.type)) for each in fields(section))


class Section:
    """A dataclass of settings. `class HeadConfig(Section, prefix="head.")` names its place."""

    _prefix: ClassVar[str] = ""

    def __init_subclass__(cls, prefix: str | None = None) -> None:
        if prefix is not None:
            cls._prefix = prefix

    def __post_init__(self) -> None:
        """Check every number against its range and replace `~` in paths.

        Raises UserError for a number out of range or not finite, and for an empty path.
        """
        for name, rules, may_be_null in _checked(type(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            if isinstance(value, int | float):
                if not rules.allow(value):
                    raise self.out_of_range(name, rules.expected(optional=may_be_null))
            elif rules.path and isinstance(value, str):
                if not value.strip():
                    or_null = ", or null for none" if may_be_null else ""
                    raise UserError(f"{self._prefix}{name}= is empty: give a path{or_null}")
                if value.startswith("~"):
                    setattr(self, name, str(Path(value).expanduser()))

    def out_of_range(self, name: str, expected: str) -> UserError:
        """The error to raise for the value of a field."""
        return out_of_range(f"{self._prefix}{name}", getattr(self, name), expected)


def out_of_range(key: str, value: object, expected: str) -> UserError:
    """The error for a setting's value that its rules do not allow."""
    return UserError(f"{key}={shown(value)} is out of range: expected {expected}")
