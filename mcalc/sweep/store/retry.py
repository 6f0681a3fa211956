"""Wait for the database of a sweep that is away for a while."""

from __future__ import annotations

import sqlite3

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, OperationalError

from mcalc.errors import UserError, without_password
from mcalc.retry import Retry
from mcalc.secret_text import hidden

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "failed to resolve host",
    "could not translate host name",
)
"""What waiting cannot fix, if the store has never answered before."""


def database_retry(url: str, wait: float) -> Retry:
    """What waits for the database of this address, for `wait` seconds at most."""
    return Retry(f"the store {shown(url)}", wait, lambda error: _reason(error, url), _remedy)


def shown(url: str) -> str:
    """A store's address without its password."""
    return without_password(url)


def _remedy(reason: str) -> str | None:
    if not any(words in reason for words in _REFUSALS):
        return None
    return "check user, password (best in ~/.pgpass), host and name in storage="


def _reason(error: Exception, url: str) -> str | None:
    """Why the store is unreachable, in a few words; None where it answers with a refusal.

    A driver that reads an address in its own way may repeat a part of its password.

    Raises UserError for a file that may be read alone.
    """
    if not isinstance(error, OperationalError | StorageInternalError):
        return None
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, OperationalError):
        return None
    # the low byte is the kind of error; waiting makes no room on a disk, and gives no rights
    kind = getattr(cause.orig, "sqlite_errorcode", 0) & 0xFF
    if kind in _NO_ROOM:
        return None
    if kind == sqlite3.SQLITE_READONLY:
        raise UserError(
            f"the store {shown(url)} cannot be written ({cause.orig}): this user has to be allowed "
            "to write it, and into its folder"
        ) from error
    text = str(cause.orig).strip().splitlines()
    first = " ".join(text[0].split()) if text else "no answer"
    if "no such table" in first or "no such column" in first:
        return None
    return hidden(first, url)[:160]
