"""Where sweeps are stored: SQLite beside the record, or a database that several machines share."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)

from mcalc.config import Config
from mcalc.errors import CutOffError, UserError, without_password

optuna.logging.set_verbosity(optuna.logging.WARNING)

DATABASE = "optuna.db"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_CONNECT_SECONDS = 10
"""Longest time of one attempt to reach a server: a firewall may drop it silently."""
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "failed to resolve host",
    "could not translate host name",
)
"""What waiting cannot fix, if the store has never answered before."""
_TRIES = 4
_LOCK_SECONDS = 60
"""How long a worker waits for another's write to SQLite."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class StorageUnreachableError(CutOffError):
    """The store of a sweep did not answer in the time that was allowed."""


def storage_url(config: Config) -> str:
    """The store that a config names; Optuna and MLflow cannot share one SQLite file."""
    if config.storage:
        return config.storage
    return f"sqlite:///{Path(config.tracking.dir).resolve() / DATABASE}"


def exists(config: Config) -> bool:
    """Whether there is a store that can be read without creating one."""
    return bool(config.storage) or (Path(config.tracking.dir) / DATABASE).exists()


def shown(url: str) -> str:
    """A store's address without its password."""
    return make_url(url).render_as_string(hide_password=True)


class Storage:
    """Optuna's storage and a connection beside it, which wait for a server that is unreachable.

    Raises UserError for an invalid address, and StorageUnreachableError when the store has not
    answered for `wait` seconds.
    """

    def __init__(self, url: str, wait: float) -> None:
        self.url = url
        self.wait = wait
        address = _address(url)
        arguments: dict[str, Any] = {"pool_pre_ping": True}
        if address.get_backend_name() == "sqlite":
            if address.database:
                _make_folder(Path(address.database).parent)
            arguments["connect_args"] = {"timeout": _LOCK_SECONDS}
        elif address.get_backend_name() == "postgresql":
            arguments["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
        self._answered = False
        self._given_up_after = 0.0
        self.engine = _engine(url, address, arguments)
        self.optuna: RDBStorage = self.with_retry(
            lambda: create_tables_once(lambda: _optuna_storage(url, arguments))
        )
        # close the connections to a server when they are no longer needed
        weakref.finalize(self, _close, self.engine, self.optuna.engine)

    def with_retry(self, action: Callable[[], _T]) -> _T:
        """The action's result; it is tried again while the store cannot be reached.

        After a wait in vain it fails at once until the store answers again, so that what a worker
        does at its end need not wait once more.
        """
        began, pause, said = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                result = action()
                self._answered, self._given_up_after = True, 0.0
                return result
            except (OperationalError, StorageInternalError) as error:
                reason = _reason(error)
                if reason is None:
                    raise
                if not self._answered and any(words in reason for words in _REFUSALS):
                    raise UserError(
                        f"the store {shown(self.url)} refuses ({reason}): check user, password "
                        "(best in ~/.pgpass), host and name in storage="
                    ) from error
                waited = time.monotonic() - began
                if self._given_up_after or waited + pause > self.wait:
                    waited = self._given_up_after = self._given_up_after or waited
                    raise StorageUnreachableError(
                        f"the store {shown(self.url)} could not be reached for {waited:.0f} s "
                        f"({reason}): nothing recorded is lost; check that it runs and that this "
                        "machine may reach it, and give the same command again (storage_wait= "
                        "sets how long to wait)"
                    ) from error
                if not said:
                    _log.warning(
                        f"the store {shown(self.url)} cannot be reached ({reason}); waiting up to "
                        f"{self.wait:.0f} s"
                    )
                    said = True
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


def create_tables_once(create_tables: Callable[[], _T]) -> _T:
    """Create tables that another worker may be creating now: then the next try finds them."""
    for attempt in range(_TRIES):
        try:
            return create_tables()
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            # SQLite reports an existing table by the error class that others use when unreachable
            away = isinstance(error, OperationalError) and "already exists" not in str(error)
            if away or attempt == _TRIES - 1:
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("the last try returns or raises")


def _address(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"storage={without_password(url)} is not an address of a database: expected "
            "postgresql+psycopg://USER@HOST/NAME or sqlite:///FILE"
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


def _close(*engines: Engine) -> None:
    for engine in engines:
        engine.dispose()


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
    """Why the store is unreachable, in a few words; None where it answers with a refusal."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, OperationalError):
        return None
    text = str(cause.orig).strip().splitlines()
    first = " ".join(text[0].split()) if text else "no answer"
    if "no such table" in first or "no such column" in first:
        return None
    return first[:160]
