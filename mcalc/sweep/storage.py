"""Where sweeps are kept: SQLite beside the record, or a database that several machines share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from rich.console import Console
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from mcalc.config import Config
from mcalc.errors import UserError

optuna.logging.set_verbosity(optuna.logging.WARNING)

DATABASE = "optuna.db"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_LOCK_SECONDS = 60
"""How long a worker waits for another's write to SQLite."""

_T = TypeVar("_T")


class StorageUnreachableError(UserError):
    """The store of a sweep did not answer in the time that was allowed."""


def storage_url(config: Config) -> str:
    """The store that a config names; Optuna and MLflow cannot share one SQLite file."""
    if config.storage:
        return config.storage
    return f"sqlite:///{Path(config.tracking.dir).resolve() / DATABASE}"


def exists(config: Config) -> bool:
    """Whether there is a store to look into without making one."""
    return bool(config.storage) or (Path(config.tracking.dir) / DATABASE).exists()


def shown(url: str) -> str:
    """A store's address without its password."""
    return make_url(url).render_as_string(hide_password=True)


class Storage:
    """Optuna's storage and a connection beside it, patient with a server that is away.

    Raises UserError for an address that is none, and StorageUnreachableError when the store has not
    answered for `wait` seconds.
    """

    def __init__(self, url: str, wait: float, console: Console) -> None:
        self.url = url
        self.wait = wait
        self.console = console
        address = _address(url)
        arguments: dict[str, Any] = {"pool_pre_ping": True}
        if address.get_backend_name() == "sqlite":
            if address.database:
                _make_folder(Path(address.database).parent)
            arguments["connect_args"] = {"timeout": _LOCK_SECONDS}
        self.engine = _engine(url, address, arguments)
        self.optuna: RDBStorage = self.patiently(lambda: _optuna_storage(url, arguments))

    def patiently(self, action: Callable[[], _T]) -> _T:
        """The action's result, tried again while the store cannot be reached."""
        began, pause, said = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                return action()
            except (OperationalError, StorageInternalError) as error:
                reason = _reason(error)
                if reason is None:
                    raise
                waited = time.monotonic() - began
                if waited + pause > self.wait:
                    raise StorageUnreachableError(
                        f"the store {shown(self.url)} could not be reached for {waited:.0f} s "
                        f"({reason}): nothing recorded is lost; check that it runs and that this "
                        "machine may reach it, and give the same command again (storage_wait= "
                        "sets how long to wait)"
                    ) from error
                if not said:
                    self.console.print(
                        f"the store {shown(self.url)} cannot be reached ({reason}); waiting up to "
                        f"{self.wait:.0f} s",
                        style="yellow",
                    )
                    said = True
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


def _address(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise UserError(
            f"storage={url} is no address of a database: expected postgresql+psycopg://USER@HOST/"
            "NAME or sqlite:///FILE"
        ) from error


def _engine(url: str, address: URL, arguments: dict[str, Any]) -> Engine:
    try:
        engine = create_engine(url, **arguments)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        extra = (
            'install it with `pip install "mcalc[postgres]"`'
            if address.get_backend_name() == "postgresql"
            else "expected postgresql+psycopg://... or sqlite:///..."
        )
        raise UserError(f"storage={shown(url)}: no driver for it is installed: {extra}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _write_ahead)
    return engine


def _optuna_storage(url: str, arguments: dict[str, Any]) -> RDBStorage:
    storage = RDBStorage(url, engine_kwargs=arguments)
    if storage.engine.dialect.name == "sqlite":
        event.listen(storage.engine, "connect", _write_ahead)
        # connections made before the listener was there are let go
        storage.engine.dispose()
    return storage


def _write_ahead(connection: Any, _: Any) -> None:
    """SQLite's write-ahead log: readers do not block the writer, and a commit is one sync."""
    connection.execute("PRAGMA journal_mode=WAL")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the record folder {folder} cannot be made ({error.strerror}): name a writable one "
            "with tracking.dir=PATH"
        ) from error


def _reason(error: Exception) -> str | None:
    """Why the store is away, in a few words; None where it is not away but refuses."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, OperationalError):
        return None
    text = str(cause.orig).strip().splitlines()
    first = " ".join(text[0].split()) if text else "no answer"
    if "no such table" in first or "no such column" in first:
        return None
    return first[:160]
