"""A search in Optuna's terms: its space, sampler and pruner."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PatientPruner
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler, TPESampler

from mcalc.config import entries
from mcalc.sweep.planning import Choices, Search

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
    # a worker that starts later must not draw what the first one drew
    seed = search.seed * 1_000_003 + done
    match search.sampler:
        case "random":
            return RandomSampler(seed=seed)
        case "qmc":
            # its sequence is kept in the study: one seed for all workers
            return QMCSampler(seed=search.seed, scramble=True)
        case "cmaes":
            return CmaEsSampler(seed=seed)
        case _:
            return TPESampler(seed=seed, multivariate=False, constant_liar=True)


def pruner_of(search: Search, evaluations: int) -> BasePruner:
    """What ends a run early; `evaluations` is about how many a whole one has."""
    match search.pruner:
        case "hyperband":
            return HyperbandPruner(
                min_resource=max(1, evaluations // _HYPERBAND_CUT**3),
                max_resource=max(2, evaluations),
                reduction_factor=_HYPERBAND_CUT,
            )
        case "median":
            return MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, evaluations // 10))
        case "patient":
            return PatientPruner(
                MedianPruner(n_startup_trials=5), patience=max(2, evaluations // 10)
            )
        case _:
            return NopPruner()
