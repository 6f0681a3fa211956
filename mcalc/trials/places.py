"""Where trials are recorded, and where a training run keeps its state."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.atomic_write import check_record_folder, make_record_folder
from mcalc.config import Config, PlannedTrial, after_training, how_to_look, place_of
from mcalc.importing import large_imports
from mcalc.tracking.places import refuse_nothing
from mcalc.training import checkpoint_path, remove_checkpoint

if TYPE_CHECKING:
    from mcalc.tracking import Tracker

_log = logging.getLogger(__name__)


def require_record(config: Config) -> None:
    """Raise UserError where `from_run` names a trial of a record that is not there."""
    refuse_nothing(config.tracking, f"from_run={config.from_run}")


def open_tracker(config: Config) -> Tracker:
    """The record that a config names."""
    tracking = config.tracking
    # a folder that cannot be made is said before MLflow is imported, which takes seconds
    make_record_folder(Path(tracking.dir))
    check_record_folder(Path(tracking.dir))
    with large_imports():
        from mcalc.tracking import Tracker

        return Tracker(Path(tracking.dir), tracking.experiment, tracking.uri, config.storage_wait)


def say_where(config: Config, run_id: str | None, *, in_report: bool = True) -> None:
    """Print where a trial is recorded, and what to do next."""
    tracking = config.tracking
    _log.info(f"recorded in {place_of(tracking)} as run {run_id}")
    _log.info(after_training(tracking) if in_report else f"next: `{how_to_look(tracking)}`")


def forget_checkpoint(trial: PlannedTrial) -> None:
    """Remove the checkpoint of a training run all of whose trials are recorded.

    A worker that is killed after it recorded the last one leaves it behind.
    """
    remove_checkpoint(checkpoint_path(Path(trial.config.tracking.dir), trial.trajectory))
