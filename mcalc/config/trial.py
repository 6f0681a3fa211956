"""A planned trial: one configuration and seed, with its identity on given data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcalc.config.automatic import check_resolved
from mcalc.config.identity import keys_of, numeric_settings
from mcalc.config.schema import Config


@dataclass(frozen=True)
class PlannedTrial:
    """A trial before it has run. From planning to training it is handed on as it is."""

    name: str
    key: str
    """Identity: a hash of what changes its numbers (`mcalc.config.identity`)."""
    trajectory: str
    """Identity of its training run; trials that differ in patience alone share it."""
    config: Config = field(repr=False)
    fingerprint: str = field(repr=False)
    """Of the data that the config names."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What sets it apart in its sweep: `{"head.weight_lr": 10, "backbone": "alexnet"}`."""

    @property
    def patience(self) -> int | None:
        """Validation evaluations without progress that end it; None for no limit."""
        return self.config.stopping.patience


def plan_trial(
    name: str, config: Config, fingerprint: str, values: Mapping[str, Any] | None = None
) -> PlannedTrial:
    """The trial that a config makes on data with this fingerprint.

    Raises ValueError where a setting is still `auto` (`mcalc.config.automatic`).
    """
    settings = numeric_settings(config)
    check_resolved(settings)
    key, trajectory = keys_of(settings, fingerprint)
    return PlannedTrial(name, key, trajectory, config, fingerprint, values or {})
