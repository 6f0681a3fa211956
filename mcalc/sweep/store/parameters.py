"""What of explicit trials is a parameter in Optuna: settings that vary, for its own analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from mcalc.config import PlannedTrial
from mcalc.config.compose import GROUPS, choices

_RANGES, _CATEGORIES = "mcalc:ranges", "mcalc:categories"
"""User attributes of a study."""
_MOST = 100
"""Categories of a parameter: each trial's entry in Optuna repeats all of them."""


@dataclass(frozen=True)
class Parameters:
    """The settings that a sweep's trials vary, as Optuna may record them.

    Optuna lets the range of a number differ from trial to trial, but not the set of a categorical.
    So a number's range grows with rows that come later; the values of any other setting are those
    of the sweep's first rows, and a trial with another one has it as an attribute only.
    """

    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """From where to where each number ranges, by key."""
    categories: Mapping[str, Sequence[bool | float | str | None]] = field(default_factory=dict)
    """Values of each setting that is not a number in all rows (`null`, text, true), by key."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Parameters:
        """As the user attributes of a study have them."""
        return cls(facts.get(_RANGES, {}), facts.get(_CATEGORIES, {}))

    def facts(self) -> dict[str, Any]:
        """The user attributes of a study that has them."""
        return {_RANGES: dict(self.ranges), _CATEGORIES: dict(self.categories)}

    def with_those_of(self, trials: Sequence[PlannedTrial]) -> Parameters:
        """These, and those of a plan."""
        ranges, categories = dict(self.ranges), dict(self.categories)
        for name, values in _seen(trials).items():
            if name in GROUPS or name in categories:
                continue
            numbers = [float(value) for value in values if _is_number(value)]
            if name in ranges or len(numbers) == len(values):
                ends = [*numbers, *ranges.get(name, ())]
                ranges[name] = [min(ends), max(ends)]
            elif len(values) <= _MOST and all(_is_category(value) for value in values):
                categories[name] = _sorted(values)
        return Parameters(ranges, categories)

    def space(self, values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Distributions of a trial's parameters; the choices of a group are its files."""
        space: dict[str, BaseDistribution] = {}
        for name, value in values.items():
            if name in GROUPS:
                space[name] = CategoricalDistribution(choices(name))
            elif name in self.categories:
                space[name] = CategoricalDistribution(tuple(self.categories[name]))
            elif name in self.ranges and _is_number(value):
                low, high = self.ranges[name]
                space[name] = FloatDistribution(low, high)
        return space


def is_within(value: Any, given: BaseDistribution) -> bool:
    """Whether a value can be drawn from a distribution."""
    try:
        return given._contains(given.to_internal_repr(value))
    except (TypeError, ValueError):  # no category of it, or no number
        return False


def _seen(trials: Sequence[PlannedTrial]) -> dict[str, list[Any]]:
    """Each value of each setting, by key."""
    seen: dict[str, dict[tuple[type, str], Any]] = {}
    for trial in trials:
        for name, value in trial.values.items():
            # not every value can be hashed, and True is 1
            seen.setdefault(name, {}).setdefault((type(value), str(value)), value)
    return {name: list(values.values()) for name, values in seen.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_category(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _sorted(values: Sequence[Any]) -> list[Any]:
    """Numbers by size, then the others as they came."""
    numbers = sorted(value for value in values if _is_number(value))
    return [*numbers, *(value for value in values if not _is_number(value))]
