"""A full disk, whichever library meets it, as one error that says what to do."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from mcalc.config import Config
from mcalc.errors import UserError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SQLITE_WRITE_ERRORS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_POSTGRESQL_DISK_FULL = "53100"
_TORCH_WRITER = ("file write failed", "fail at inline_container.cc")
"""torch's writer has neither an error number nor a class of its own."""


class FullDiskError(UserError):
    """The record cannot be written for lack of space: no trial can continue."""


@contextmanager
def raise_disk_full(config: Config) -> Iterator[None]:
    """Raise FullDiskError for what a full disk raises in the block, in whichever library."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise FullDiskError(
                f"no space is left to record in {config.tracking.dir}: what is finished is kept; "
                "make room and give the same command again"
            ) from error
        raise


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that there is no space to write.

    By error numbers: the system's errno, SQLite's result code, PostgreSQL's SQLSTATE. Libraries
    wrap them as a cause, or as `orig` (SQLAlchemy).
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        for each in (error, getattr(error, "orig", None)):
            code = getattr(each, "sqlite_errorcode", None)
            # the low byte is the kind of error, the others which of them
            if code is not None and code & 0xFF in _SQLITE_WRITE_ERRORS:
                return True
            if getattr(each, "sqlstate", None) == _POSTGRESQL_DISK_FULL:
                return True
        if isinstance(error, RuntimeError) and any(s in str(error) for s in _TORCH_WRITER):
            return True
        error = error.__cause__ or error.__context__
    return False
