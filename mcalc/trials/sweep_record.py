"""Where the runs of trials belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SweepRecord:
    """What runs belong to, as they name it: a sweep, an earlier run; a single trial has neither."""

    sweep: str | None = None
    """The sweep's identity."""
    parent: str | None = None
    """The sweep's MLflow run."""
    known_runs: Mapping[str, str] = field(default_factory=dict)
    """MLflow runs of earlier attempts by trial key, to be resumed."""
    from_run: str | None = None
    """The MLflow run that the one trial repeats (`from_run=ID`)."""
