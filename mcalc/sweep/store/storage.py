"""Where sweeps are stored: SQLite beside the record, or a database that several machines share."""

from __future__ import annotations

import functools
import inspect
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import Engine, MetaData, create_engine, exc
from sqlalchemy.engine import URL, make_url

from mcalc.atomic_write import make_record_folder
from mcalc.config import Config, no_storage
from mcalc.connections import close_at_exit
from mcalc.errors import UserError, without_password
from mcalc.retry import Retry
from mcalc.sqlite_file import LOCK_SECONDS, ensure_database, file_of, url_of
from mcalc.sqlite_template import Template
from mcalc.sweep.store.places import DATABASE
from mcalc.sweep.store.retry import database_retry, shown

optuna.logging.set_verbosity(optuna.logging.WARNING)

_CONNECT_SECONDS = 10
"""Longest time of one attempt to reach a server: a firewall may drop it silently."""
_TRIES = 4
_FILLED = "version_info"
"""Optuna writes its version into this table when all tables are there."""

_T = TypeVar("_T")


def storage_url(config: Config) -> str:
    """The store that a config names; Optuna and MLflow cannot share one SQLite file."""
    if config.storage:
        return config.storage
    return url_of(Path(config.tracking.dir).resolve() / DATABASE)


def database_file(config: Config) -> Path | None:
    """The file of the store that a config names; None for a server."""
    url = storage_url(config)
    _address(url)
    return file_of(url)


class Storage:
    """Optuna's storage and a connection beside it, both of which wait as `Retry` says.

    Raises UserError for an invalid address, and what `Retry` raises.
    """

    def __init__(self, url: str, wait: float) -> None:
        address = _address(url)
        close_at_exit()
        self.url = url
        self.retry = database_retry(url, wait)
        arguments: dict[str, Any] = {"pool_pre_ping": True}
        if address.get_backend_name() == "sqlite":
            if file := file_of(url):
                make_record_folder(file.parent)
                ensure_database(file, _TABLES.fill, _FILLED)
            arguments["connect_args"] = {"timeout": LOCK_SECONDS}
        elif address.get_backend_name() == "postgresql":
            arguments["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
        self.engine = _engine(url, address, arguments)
        made = functools.partial(RDBStorage, url, arguments)
        database: RDBStorage = self.retry(create_tables_once, made)
        self.optuna = _retrying(get_storage(database), self.retry)
        # close the connections to a server when they are no longer needed
        weakref.finalize(self, _close, self.engine, database.engine)

    def create_tables(self, metadata: MetaData) -> None:
        """Create the tables that are not there yet."""
        self.retry(create_tables_once, functools.partial(metadata.create_all, self.engine))


def _make_tables(url: str) -> None:
    RDBStorage(url).engine.dispose()


_TABLES = Template("optuna", "storages/_rdb/alembic/versions", _make_tables)


def _retrying(storage: BaseStorage, retry: Retry) -> BaseStorage:
    """A proxy of Optuna's storage, each operation of which waits for a server that is away."""
    operations = {
        name: staticmethod(functools.partial(retry, getattr(storage, name)))
        for name, _ in inspect.getmembers(BaseStorage, inspect.isfunction)
        if not name.startswith("_")
    }
    proxy: BaseStorage = type("RetryingStorage", (BaseStorage,), operations)()
    return proxy


def create_tables_once(create_tables: Callable[[], _T]) -> _T:
    """Create tables that another worker may be creating now: then the next try finds them."""
    for attempt in range(_TRIES):
        try:
            return create_tables()
        except (exc.IntegrityError, exc.ProgrammingError, exc.OperationalError) as error:
            # SQLite reports an existing table by the error class that others use when unreachable
            away = isinstance(error, exc.OperationalError) and "already exists" not in str(error)
            if away or attempt == _TRIES - 1:
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("the last try returns or raises")


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise no_storage(url) from error
    if "@" in (address.host or ""):
        # else the rest of the password would be asked for as a host, and shown as one
        raise UserError(
            f"storage={without_password(url)}: an @ in its password separates a host: write it as "
            "%40 (: as %3A, / as %2F, % as %25), or keep the password in ~/.pgpass"
        )
    return address


def _engine(url: str, address: URL, arguments: dict[str, Any]) -> Engine:
    try:
        engine = create_engine(url, **arguments)
    except (exc.NoSuchModuleError, ModuleNotFoundError) as error:
        extra = (
            'install it with `pip install "mcalc[postgres]"`'
            if address.get_backend_name() == "postgresql"
            else "expected postgresql+psycopg://... or sqlite:///..."
        )
        raise UserError(f"storage={shown(url)}: no driver for it is installed: {extra}") from error
    return engine


def _close(*engines: Engine) -> None:
    for engine in engines:
        engine.dispose()
