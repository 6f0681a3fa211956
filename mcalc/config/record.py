"""Settings of the record and of a search's budget. None changes a trial's numbers."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config.choices import KeepModels
from mcalc.config.rules import Section, setting


@dataclass
class TrackingConfig(Section, prefix="tracking."):
    """Where and what is recorded."""

    dir: str = setting("mlruns", path=True)
    """Folder of the record. In it are mlflow.db, optuna.db, artifacts, checkpoints and logs."""
    experiment: str = "mcalc"
    """Name of MLflow's experiment."""
    uri: str | None = None
    """MLflow's store, if not in `tracking.dir`: http://HOST:PORT. A database works too, as
    postgresql+psycopg://USER@HOST/NAME."""
    keep_models: KeepModels = KeepModels.all
    """Whose trained networks stay. `all`: each trial's (AlexNet 228 MB, GoogLeNet 23 MB);
    `best`: of a sweep's trials the one of the highest AUC on validation, one for each split;
    `none`: no network, so that neither predictions nor heat maps can be made later."""
    checkpoint_minutes: float = setting(5.0, low=0)
    """Minutes between two checkpoints of a training run, from which a killed one resumes; 0 for
    none. A checkpoint takes three times the network's size at most and is deleted at the end."""


@dataclass
class BudgetConfig(Section, prefix="budget."):
    """When a search ends; a value that is null here is as the sweep file says."""

    trials: int | None = setting(None, low=1, high=1_000_000)
    """Configurations that a search tries."""
    hours: float | None = setting(None, above=0, high=1_000_000)
    """Hours of training of a search, over all workers. A running trial is not cut off."""
