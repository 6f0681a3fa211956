"""The recorded sweeps that a command names."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from mcalc.config import Config
from mcalc.errors import UserError, nearest
from mcalc.sweep.store import Storage, SweepStudy, check_exists, storage_url


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
