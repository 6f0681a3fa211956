"""Whether there is a store of sweeps, said without importing Optuna."""

from __future__ import annotations

from pathlib import Path

from mcalc.config import Config
from mcalc.errors import UserError

DATABASE = "optuna.db"


def exists(config: Config) -> bool:
    """Whether there is a store that can be read without creating one."""
    return bool(config.storage) or (Path(config.tracking.dir) / DATABASE).exists()


def check_exists(config: Config) -> None:
    """Raise UserError where the settings name no store. A server is not asked."""
    if not exists(config):
        raise UserError(
            f"no sweep is recorded in {Path(config.tracking.dir).resolve()}: name the record's "
            "folder with tracking.dir=PATH, or the store with storage=URL"
        )
