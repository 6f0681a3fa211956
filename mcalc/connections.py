"""Connections to databases, closed before the process ends.

SQLite joins its write-ahead log to the database when the last connection is closed. MLflow and
Optuna leave theirs to the interpreter's teardown, which a command goes without (`mcalc.leaving`):
the newest runs would then stand in a second file, that a copy of `mlflow.db` lacks.
"""

from __future__ import annotations

import atexit
import os
import weakref
from contextlib import suppress
from functools import cache

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

_open: weakref.WeakSet[ConnectionPoolEntry] = weakref.WeakSet()


@cache
def close_at_exit() -> None:
    """From now on, close every connection that SQLAlchemy makes when this process ends."""
    event.listen(Pool, "connect", _remember)
    atexit.register(_close, os.getpid())


def _remember(_: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    _open.add(entry)


def _close(owner: int) -> None:
    # a forked process has copies: SQLite's locks, and a server's sessions, are its parent's
    if os.getpid() != owner:
        return
    for entry in list(_open):
        if entry.dbapi_connection is not None:
            # a server may be gone, and a thread may be at work still
            with suppress(Exception):
                entry.dbapi_connection.close()
