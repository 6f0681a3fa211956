"""The recorded sweeps that a command names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna

from mcalc.config import Config
from mcalc.errors import UserError, nearest
from mcalc.sweep.store import Storage, SweepStudy, exists, storage_url


def check_exists(config: Config) -> None:
    """Raise UserError where the settings name no store. A server is not asked."""
    if not exists(config):
        raise UserError(
            f"no sweep is recorded in {Path(config.tracking.dir).resolve()}: name the record's "
            "folder with tracking.dir=PATH, or the store with storage=URL"
        )


def open_sweeps(config: Config, names: Sequence[str]) -> tuple[Storage, list[SweepStudy]]:
    """The store that the settings name, and the sweeps of these names, all without any.

    Raises UserError where there is no store or no such sweep.
    """
    check_exists(config)
    storage = Storage(storage_url(config), config.storage_wait)
    known = optuna.get_all_study_names(storage.optuna)
    for name in names:
        if name not in known:
            raise UserError(
                f"no sweep {name!r} is recorded{nearest(name, known)} "
                f"(there are {', '.join(known) or 'none'})"
            )
    studies = [SweepStudy.find(storage, name) for name in names or known]
    return storage, [study for study in studies if study is not None]
