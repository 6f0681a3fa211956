"""A search in Optuna's terms: its space, sampler and pruner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from mcalc.config import entries
from mcalc.sweep.planning import SAMPLERS, Choices, Component, Search, build

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
    seeds = {"seed": search.seed * 1_000_003 + done, "sequence_seed": search.seed}
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
