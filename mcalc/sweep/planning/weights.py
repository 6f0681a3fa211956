"""Whether the pretrained weights that a plan names are there: asked before anything is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcalc.config import BackboneConfig
from mcalc.models import weight_path
from mcalc.sweep.planning.plan import Compose, Plan
from mcalc.sweep.planning.search_space import Choices
from mcalc.sweep.planning.values import override_of


def check_weight_files(plan: Plan, compose: Compose) -> None:
    """Raise UserError, as `weight_path`, for a weight file that is not there."""
    for backbone in backbones_of(plan, compose):
        weight_path(backbone.weights, backbone.name)


def backbones_of(plan: Plan, compose: Compose) -> list[BackboneConfig]:
    """Every network with its weights that trials of a plan may have."""
    if not plan.search:
        configs = [trial.config.backbone for trial in plan.trials]
    else:
        configs = list(_searched(plan, compose))
    found: dict[tuple[str, str], BackboneConfig] = {}
    for config in configs:
        found.setdefault((config.name, config.weights), config)
    return list(found.values())


def _searched(plan: Plan, compose: Compose) -> Iterator[BackboneConfig]:
    assert plan.search is not None
    groups, weights = (plan.search.space.get(key) for key in ("backbone", "backbone.weights"))
    bases = [plan.base.backbone]
    if isinstance(groups, Choices):
        overrides = [override_of("backbone", choice) for choice in groups.values]
        bases = [compose((*plan.fixed, each)).backbone for each in overrides]
    for base in bases:
        if isinstance(weights, Choices):
            yield from (replace(base, weights=str(each)) for each in weights.values)
        else:
            yield base
