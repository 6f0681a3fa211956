"""Search spaces: what a search may draw, as a sweep file or the command line gives it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mcalc.config import BudgetConfig, convert, entries
from mcalc.config.compose import GROUPS
from mcalc.errors import UserError, nearest, shown
from mcalc.sweep.planning.components import Component, parse_component
from mcalc.sweep.planning.values import check_choice, settle
from mcalc.yaml_file import numbers, plain_value

OBJECTIVES = {"val_auc": "maximize", "val_accuracy": "maximize", "val_loss": "minimize"}
"""What a search optimises: scores of the subset that stops training, never of the reported one."""
MOST_STEPS = 10_000_000
"""Values that an interval with a step may have."""
_EXACT = 2**53
"""Whole numbers up to here are exact as floats, which Optuna computes with."""


@dataclass(frozen=True)
class Choices:
    """One of some values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Interval:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


Range = Choices | Interval


@dataclass(frozen=True)
class Search:
    """How values are drawn, what is looked at, and when it ends."""

    space: Mapping[str, Range]
    sampler: Component = "tpe"
    pruner: Component = "none"
    objective: str = "val_auc"
    seed: int = 0
    """Of the sampler."""
    seeds: tuple[int, ...] = ()
    """Each configuration is run with each, and judged by the mean; empty leaves the seed as it is.
    """
    trials: int | None = None
    hours: float | None = None

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any], budget: BudgetConfig) -> Search:
        """The search that `definition` describes, with this budget."""
        return cls(
            space={key: _range(entry) for key, entry in definition["space"].items()},
            sampler=definition["sampler"],
            pruner=definition["pruner"],
            objective=definition["objective"],
            seed=definition["sampler seed"],
            seeds=tuple(definition["seeds"]),
            trials=budget.trials,
            hours=budget.hours,
        )

    def definition(self) -> dict[str, Any]:
        """What two searches must share to be one: all but the budget, as plain data."""
        return {
            "space": {key: _plain(entry) for key, entry in sorted(self.space.items())},
            "sampler": self.sampler,
            "pruner": self.pruner,
            "objective": self.objective,
            "sampler seed": self.seed,
            "seeds": list(self.seeds),
        }


def _plain(entry: Range) -> dict[str, Any]:
    if isinstance(entry, Choices):
        return {"values": list(entry.values)}
    return asdict(entry)


def _range(entry: Mapping[str, Any]) -> Range:
    return Choices(tuple(entry["values"])) if "values" in entry else Interval(**entry)


def parse_search(where: str, content: Mapping[str, Any]) -> Search:
    """The search of a sweep file's keys. Raises UserError for what is not allowed."""
    space = content.get("space")
    if not isinstance(space, dict) or not space:
        raise UserError(
            f"{where}: `space` must name at least one key, as in head.weight_lr: "
            "{low: 1, high: 30, log: true}"
        )
    budget = numbers(content.get("budget")) or {}
    if not isinstance(budget, dict) or set(budget) - {"trials", "hours"}:
        raise UserError(f"{where}: `budget` must be a mapping with trials, hours or both")
    objective = content.get("objective", "val_auc")
    seed = numbers(content.get("sampler_seed", 0))
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise UserError(
            f"{where}: objective {shown(objective)} is unknown"
            f"{nearest(str(objective)[:80], OBJECTIVES)} "
            f"(there are {', '.join(OBJECTIVES)})"
        )
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise UserError(
            f"{where}: sampler_seed={shown(seed)}: expected a whole number from 0 to 2^32 - 1"
        )
    search = Search(
        space={str(key): parse_range(where, str(key), entry) for key, entry in space.items()},
        sampler=parse_component(where, "sampler", numbers(content.get("sampler", "tpe"))),
        pruner=parse_component(where, "pruner", numbers(content.get("pruner", "none"))),
        objective=objective,
        seed=seed,
        trials=budget.get("trials"),
        hours=budget.get("hours"),
    )
    check_budget(where, search.trials, search.hours)
    if search.sampler == "cmaes" and any(isinstance(e, Choices) for e in search.space.values()):
        raise UserError(
            f"{where}: sampler cmaes draws numbers only: give low and high for every key of "
            "`space`, or take sampler tpe"
        )
    return search


def check_budget(where: str, trials: Any, hours: Any) -> None:
    """Raise UserError for a budget that allows nothing, or has no end."""
    for given, name, kinds in ((trials, "trials", int), (hours, "hours", int | float)):
        rules = entries()[f"budget.{name}"].rules
        number = isinstance(given, kinds) and not isinstance(given, bool)
        if given is not None and not (number and rules.allow(given)):
            kind = "whole number" if kinds is int else "number"
            raise UserError(
                f"{where}: a budget of {shown(given)} {name}: expected a {kind} {rules.range()}"
            )


def parse_range(where: str, key: str, entry: Any) -> Range:
    """`[1, 10]` or `{low: 1, high: 30, log: true, step: 1}`; raises UserError."""
    if isinstance(entry, list) and entry:
        values = [settle(key, value) for value in entry]
        # 1 and 1.0 are one value of a key that holds numbers
        if len({str(_checked(where, key, value)) for value in values}) < len(values):
            raise UserError(f"{where}: {key} has a value twice; remove one")
        return Choices(tuple(values))
    known = {"low", "high", "log", "step"}
    if not isinstance(entry, dict) or not {"low", "high"} <= set(entry) or set(entry) - known:
        raise UserError(
            f"{where}: {key} must be a list of values, or a mapping with low and high (and log or "
            "step)"
        )
    kinds = entries()[key].kinds
    if key in GROUPS or not {int, float} & set(kinds):
        raise UserError(f"{where}: {key} takes no numbers: give a list of values")
    low, high = (_number(where, key, entry[name]) for name in ("low", "high"))
    step = None if entry.get("step") is None else _number(where, key, entry["step"])
    whole = float not in kinds
    for bound in (low, high):
        if whole and abs(bound) > _EXACT:
            raise UserError(f"{where}: {key}: {bound:g} is too large: expected at most 2^53")
        _checked(where, key, bound)
        if not entries()[key].rules.allow(bound):
            raise UserError(
                f"{where}: {key}: {bound:g} is out of range: expected a number "
                f"{entries()[key].rules.range()}"
            )
    if step is not None and (step <= 0 or (whole and step != int(step))):
        kind = "a whole number from 1" if whole else "a number above 0"
        raise UserError(f"{where}: {key}: step {step:g}: expected {kind}")
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"{where}: {key}: log is {shown(log)}: expected true or false")
    if log and (low <= 0 or step is not None):
        raise UserError(f"{where}: {key}: log needs low above 0 and no step")
    if low >= high:
        raise UserError(f"{where}: {key} is empty: low {low:g} must be below high {high:g}")
    if not math.isfinite(high - low):
        raise UserError(f"{where}: {key}: low {low:g} and high {high:g} lie too far apart")
    if step is not None and (high - low) / step > MOST_STEPS:
        raise UserError(
            f"{where}: {key}: step {step:g} gives {(high - low) / step:.3g} values: expected at "
            f"most {MOST_STEPS:,}; take a larger step, or none"
        )
    return Interval(low, high, log, step)


def _checked(where: str, key: str, value: Any) -> Any:
    """The value in its key's type. Raises UserError where it is not of it."""
    try:
        if key in GROUPS:
            check_choice(key, value)
            return value
        return convert(key, value)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _number(where: str, key: str, value: Any) -> float:
    """A bound or a step, finite. Raises UserError for anything else."""
    number = numbers(value)
    if isinstance(number, str):  # in quotes
        number = numbers(plain_value(number))
    plain = isinstance(number, int | float) and not isinstance(number, bool)
    # a whole number above 1e308 fits no float
    if plain and abs(number) <= sys.float_info.max:
        return float(number)
    raise UserError(f"{where}: {key}: {shown(value)} is not a number that can be a bound or step")
