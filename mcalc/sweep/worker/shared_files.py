"""SQLite files of a record on a network file system: a warning, or a refusal."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

from mcalc.config import Config
from mcalc.errors import UserError
from mcalc.network_files import network_file_system
from mcalc.sweep.store import Leases, database_file
from mcalc.tracking import tracking_file

_INSTEAD = (
    "name a database with storage=postgresql+psycopg://USER@HOST/NAME and an MLflow server with "
    "tracking.uri=http://HOST:PORT (docs/parallel.md)"
)
_log = logging.getLogger(__name__)


def on_network(config: Config) -> list[tuple[Path, str]]:
    """The SQLite files of a record that are on a network file system, and which."""
    files = [database_file(config), tracking_file(config.tracking)]
    kinds = [(file, network_file_system(file)) for file in files if file is not None]
    return [(file, kind) for file, kind in kinds if kind]


def warn_of_network_files(config: Config) -> None:
    """Warn once where SQLite files are on a network file system."""
    if found := on_network(config):
        _log.warning(
            f"  warning: {_named(found)}: SQLite's locks are not safe there. Let one machine alone "
            "use this record, or keep it on a disk of this machine with tracking.dir=PATH; for "
            f"several machines, {_INSTEAD}"
        )


def refuse_network_files(config: Config, who: str) -> None:
    """Raise UserError where `who`, which is several machines, would share such files."""
    if found := on_network(config):
        raise UserError(
            f"{who} would use {_named(found)} from several machines, and a SQLite file that two "
            f"machines write is damaged: {_INSTEAD}"
        )


def refuse_another_machine(config: Config, leases: Leases) -> None:
    """Raise UserError where another machine works at the sweep through the same SQLite file.

    A worker that died there is waited for, as its lease looks like that of a living one at first.
    """
    file = database_file(config)
    if file is None or not network_file_system(file):
        return
    for owner in leases.settled_owners():
        if owner.host != socket.gethostname():
            raise UserError(
                f"{owner} works at {leases.study} through the same SQLite file, and one that two "
                f"machines write is damaged: wait until it has ended, or {_INSTEAD}"
            )


def _named(found: list[tuple[Path, str]]) -> str:
    names = " and ".join(f"{file.name} in {file.resolve().parent}" for file, _ in found)
    kinds = ", ".join(sorted({kind for _, kind in found}))
    return f"{names} on a network file system ({kinds})"
