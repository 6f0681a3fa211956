"""What one trial is: typed settings with their units and ranges, and the rules between them.

Plain dataclasses: neither hydra nor omegaconf is imported, so that data, models and evaluation
take settings without either. `mcalc.config.compose` fills them from `conf/` and the command line.
Sections lie in the modules beside this one; `mcalc.config` hands on all of them.

To add a setting: one field with its docstring, in its section. Its range, and the neutral value
at which it leaves all identities as they are, stand on the field (`mcalc.config.rules`).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.config.data import DataConfig
from mcalc.config.network import BackboneConfig, HeadConfig
from mcalc.config.record import BudgetConfig, TrackingConfig
from mcalc.config.rules import Section, section, setting
from mcalc.config.training import AugmentConfig, ProtocolConfig, StoppingConfig, TrainerConfig


@dataclass
class Config(Section):
    """One trial, whole. Sections as in `conf/`."""

    name: str | None = setting(None, numeric=False)
    """Name in the record; null makes one from the settings."""
    seed: int = setting(0, low=0, high=2**32 - 1)
    """Seed of the split, head, order, augmentation and dropout."""
    metrics: list[str] = setting([], neutral=[])
    """Further metrics to compute and record, by their names in installed plug-in packages."""
    backbone: BackboneConfig = section(BackboneConfig)
    """The pretrained network."""
    head: HeadConfig = section(HeadConfig)
    """The new last layer."""
    data: DataConfig = section(DataConfig)
    """Lesions and images."""
    protocol: ProtocolConfig = section(ProtocolConfig)
    """Split and reported set."""
    augment: AugmentConfig = section(AugmentConfig)
    """Augmentation of training images."""
    trainer: TrainerConfig = section(TrainerConfig)
    """Gradient descent."""
    stopping: StoppingConfig = section(StoppingConfig)
    """Early stopping."""
    tracking: TrackingConfig = section(TrackingConfig, numeric=False)
    """The record."""
    sweep: str | None = setting(None, numeric=False)
    """A file of `sweeps/` to run with -m; a comma list for several."""
    dry_run: bool = setting(False, numeric=False)
    """Print the plan and run nothing."""
    rerun: bool = setting(False, numeric=False)
    """Run trials anew even where they are finished."""
    from_run: str | None = setting(None, numeric=False)
    """Recorded trial to run again and compare. Its MLflow run's id, the first six or more digits of
    it, or its name."""
    retries: int = setting(1, numeric=False, low=0, high=100)
    """Times that a failed trial of a sweep is tried again before it is recorded as failed."""
    trials_per_gpu: int = setting(1, numeric=False, low=1, high=64)
    """Training runs that share a GPU, where a launcher runs several at once."""
    storage: str | None = setting(None, numeric=False)
    """Optuna's store, if not in `tracking.dir`: a database. Several machines that name one, as
    postgresql+psycopg://USER@HOST/NAME, share its sweeps."""
    storage_wait: float = setting(120.0, numeric=False, low=0)
    """Seconds to wait for a store that cannot be reached."""
    budget: BudgetConfig = section(BudgetConfig, numeric=False)
    """The end of a search."""
    job: str | None = setting(None, numeric=False, hidden=True)
    """Token of a job, in letters and digits; set by the sweep engine alone."""
