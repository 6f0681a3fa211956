"""A search in Optuna's terms: its space, sampler and pruner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from mcalc.config import entries
from mcalc.errors import UserError, nearest
from mcalc.sweep.planning import SAMPLERS, Choices, Component, Search, build, label

_HYPERBAND_CUT = 3
"""Hyperband keeps one of three at each rung (Li et al. 2018)."""


def distributions(search: Search) -> dict[str, BaseDistribution]:
    """The space of a search; whole numbers where the key takes nothing else."""
    found: dict[str, BaseDistribution] = {}
    for key, entry in search.space.items():
        if isinstance(entry, Choices):
            found[key] = CategoricalDistribution(entry.values)
        elif float not in entries()[key].kinds:
            step = 1 if entry.step is None else int(entry.step)
            found[key] = IntDistribution(int(entry.low), int(entry.high), entry.log, step)
        else:
            found[key] = FloatDistribution(entry.low, entry.high, entry.log, entry.step)
    return found


def sampler_of(search: Search, done: int) -> BaseSampler:
    """What draws the next configuration, `done` having been drawn."""
    # a worker that starts later must not draw what the first one drew; but QMC's sequence is kept
    # in the study, with one seed for all workers
    seeds = {"seed": (search.seed * 1_000_003 + done) % 2**32, "sequence_seed": search.seed}
    sampler: BaseSampler = build(_described(search.sampler, SAMPLERS), **seeds)
    return sampler


def pruner_of(search: Search, evaluations: int) -> BasePruner:
    """What ends a run early; `evaluations` is about how many a whole one has."""
    median: dict[str, Any] = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 5}
    pruners: dict[str, dict[str, Any]] = {
        "hyperband": {
            "_target_": "optuna.pruners.HyperbandPruner",
            "min_resource": max(1, evaluations // _HYPERBAND_CUT**3),
            "max_resource": max(2, evaluations),
            "reduction_factor": _HYPERBAND_CUT,
        },
        "median": {**median, "n_warmup_steps": max(1, evaluations // 10)},
        "patient": {
            "_target_": "optuna.pruners.PatientPruner",
            "wrapped_pruner": median,
            "patience": max(2, evaluations // 10),
        },
        "none": {"_target_": "optuna.pruners.NopPruner"},
    }
    pruner: BasePruner = build(_described(search.pruner, pruners), seed=0, sequence_seed=0)
    return pruner


def _described(component: Component, short: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return short[component] if isinstance(component, str) else component


def rehearse(title: str, search: Search) -> None:
    """Draw, report and prune without training: what Optuna refuses only then is refused now.

    Raises UserError for options that do not fit the space or one another.
    """
    for option, value in _plain_mappings(search.sampler):
        for key in value:
            if key not in search.space:
                raise UserError(
                    f"{title}: sampler: {option} names {key!r}, which is not in `space`"
                    f"{nearest(str(key), search.space)}"
                )
    try:
        study = optuna.create_study(
            sampler=sampler_of(search, 0), pruner=pruner_of(search, _REHEARSED)
        )
        for _ in range(_REHEARSED):
            trial = study.ask(distributions(search))
            for step in range(_REHEARSED):
                trial.report(1.0 + step, step)
                trial.should_prune()
            study.tell(trial, 1.0)
    except _OPTUNAS_ERRORS as error:
        raise _does_not_fit(title, search, error) from error


_OPTUNAS_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""It has no class of its own for options that do not fit."""
_REHEARSED = 12
"""Draws and evaluations: more than the ten draws at random with which most samplers begin."""


def _does_not_fit(title: str, search: Search, error: Exception) -> UserError:
    said = " ".join(str(error).split()) or "no reason given"
    return UserError(
        f"{title}: sampler {label(search.sampler)} and pruner {label(search.pruner)} do not work "
        f"with this `space` ({type(error).__name__}: {said}): correct their options"
    )


def _plain_mappings(component: Component) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Options by parameter of the space, as `fixed_params`, of a component and those inside it."""
    for option, value in component.items() if isinstance(component, Mapping) else ():
        if isinstance(value, Mapping) and "_target_" in value:
            yield from _plain_mappings(value)
        elif isinstance(value, Mapping):
            yield option, value
