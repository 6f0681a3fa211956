"""A sweep's study as it is recorded, and what a check finds of it."""

from __future__ import annotations

from pathlib import Path

import optuna
from engine import composed, settings

from mcalc.config import Config
from mcalc.results import RecordedTrial
from mcalc.sweep.checking.compare import Report, check
from mcalc.sweep.store import Leases, Storage, SweepStudy, storage_url
from mcalc.trials.places import open_tracker


def study_of(config: Config) -> SweepStudy:
    """The one that is recorded."""
    storage = Storage(storage_url(config), 5)
    (name,) = optuna.get_all_study_names(storage.optuna)
    found = SweepStudy.find(storage, name)
    assert found is not None
    return found


def study_below(folder: Path) -> SweepStudy:
    """The one in a folder that `engine.settings` records in."""
    return study_of(composed(settings(folder)))


def checked(folder: Path) -> tuple[Report, list[RecordedTrial]]:
    """What a check finds there, and the sweep's runs in MLflow."""
    study, tracker = study_below(folder), open_tracker(composed(settings(folder)))
    parent = study.parent()
    assert parent is not None
    return check(study, tracker, Leases(study.storage, study.name)), tracker.runs_of(parent)
