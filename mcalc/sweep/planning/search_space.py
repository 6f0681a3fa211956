"""Search spaces: what a search may draw, as a sweep file or the command line gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mcalc.config import BudgetConfig, convert, entries
from mcalc.config.compose import GROUPS
from mcalc.errors import UserError, nearest
from mcalc.sweep.planning.components import Component, parse_component

OBJECTIVES = {"val_auc": "maximize", "val_accuracy": "maximize", "val_loss": "minimize"}
"""What a search optimises: scores of the subset that stops training, never of the reported one."""


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
    budget = content.get("budget") or {}
    if not isinstance(budget, dict) or set(budget) - {"trials", "hours"}:
        raise UserError(f"{where}: `budget` must be a mapping with trials, hours or both")
    objective, seed = content.get("objective", "val_auc"), content.get("sampler_seed", 0)
    if str(objective) not in OBJECTIVES:
        raise UserError(
            f"{where}: objective {objective!r} is unknown{nearest(str(objective), OBJECTIVES)} "
            f"(there are {', '.join(OBJECTIVES)})"
        )
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise UserError(f"{where}: sampler_seed={seed}: expected a whole number from 0 to 2^32 - 1")
    search = Search(
        space={str(key): parse_range(where, str(key), entry) for key, entry in space.items()},
        sampler=parse_component(where, "sampler", content.get("sampler", "tpe")),
        pruner=parse_component(where, "pruner", content.get("pruner", "none")),
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
    """Raise UserError for a budget that allows nothing."""
    if trials is not None and (not isinstance(trials, int) or trials < 1):
        raise UserError(f"{where}: a budget of {trials} trials: expected a whole number from 1")
    if hours is not None and (not isinstance(hours, int | float) or not hours > 0):
        raise UserError(f"{where}: a budget of {hours} hours: expected a number above 0")


def parse_range(where: str, key: str, entry: Any) -> Range:
    """`[1, 10]` or `{low: 1, high: 30, log: true, step: 1}`; raises UserError."""
    if isinstance(entry, list) and entry:
        for value in entry:
            _check(where, key, value)
        if len({str(value) for value in entry}) < len(entry):
            raise UserError(f"{where}: {key} has a value twice; remove one")
        return Choices(tuple(entry))
    known = {"low", "high", "log", "step"}
    if not isinstance(entry, dict) or not {"low", "high"} <= set(entry) or set(entry) - known:
        raise UserError(
            f"{where}: {key} must be a list of values, or a mapping with low and high (and log or "
            "step)"
        )
    low, high, step = (_finite(where, key, entry.get(name)) for name in ("low", "high", "step"))
    assert low is not None
    assert high is not None
    for bound in (low, high):
        _check(where, key, bound)
    whole = key not in GROUPS and float not in entries()[key].kinds
    if step is not None and (step <= 0 or (whole and step != int(step))):
        kind = "a whole number from 1" if whole else "a number above 0"
        raise UserError(f"{where}: {key}: step {step:g}: expected {kind}")
    log = entry.get("log", False)
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise UserError(f"{where}: {key}: log needs low above 0 and no step")
    if low >= high:
        raise UserError(f"{where}: {key} is empty: low {low:g} must be below high {high:g}")
    return Interval(low, high, log, step)


def _check(where: str, key: str, value: Any) -> None:
    """Raise UserError for a value that is not of its key's type."""
    if key in GROUPS:
        return
    try:
        convert(key, value)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _finite(where: str, key: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: {key}: {value!r} is not a number")
    return number
