"""SQLite files of a record: made whole or not at all, and recognised where they are damaged.

A library that makes its tables one by one leaves, when it is killed, a file that it does not accept
afterwards. Here the tables are made in a draft beside the file's place, which is then renamed.
"""

from __future__ import annotations

import logging
import re
import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from mcalc.atomic_write import sync, sync_folder
from mcalc.errors import UserError

LOCK_SECONDS = 60.0
"""How long a process waits for another's write."""
_HEADER_BYTES = 100
_WITHOUT_RIGHT = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)
_BESIDE = ("-wal", "-shm", "-journal")
"""Ends of the names of the files that SQLite keeps beside a database."""
_BEYOND_ASCII = re.compile(r"(%[89A-F][0-9A-F])+")
_log = logging.getLogger(__name__)


class DamagedDatabaseError(UserError):
    """A file that is no SQLite database, or not a whole one."""

    def __init__(self, path: Path, why: str) -> None:
        self.why = why
        super().__init__(
            f"{path} is damaged ({why}): put a copy of it back, or let `python -m mcalc.sweep "
            "check repair=true` set it aside and mark what has to run again"
        )


def url_of(path: Path) -> str:
    """SQLAlchemy's address of a file, whatever characters its path has."""
    from sqlalchemy.engine import URL  # late: a command that finds no record needs no address

    address = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    # MLflow takes it for a path too, and a name of 255 bytes would be one of up to 765
    return _BEYOND_ASCII.sub(lambda found: unquote(found[0]), address)


def file_of(url: str) -> Path | None:
    """The file of an address; None for a server, memory, or a name in SQLite's own URI form.

    Raises sqlalchemy.exc.ArgumentError or ValueError for what is no address.
    """
    from sqlalchemy.engine import make_url  # late, as above

    address = make_url(url)
    name = address.database if address.get_backend_name() == "sqlite" else None
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def ensure_database(path: Path, make: Callable[[str], None], filled: str) -> None:
    """Make the database at `path` where there is none, or only a half-made one.

    Args:
        path: in a folder that exists.
        make: makes all tables in the database of the address that it is given.
        filled: a table that has a row as soon as a database of this kind is whole.

    A half-made file is set aside, and drafts of killed processes are removed. The database keeps a
    write-ahead log: readers do not block the writer, and a commit is one sync.

    Raises UserError where the file is damaged, or another program's, or cannot be opened.
    """
    if path.exists() and has_rows(path, filled) and not _drafts(path):
        return
    from filelock import FileLock  # late, as SQLAlchemy above

    with FileLock(path.with_name(f".{path.stem}.lock")):
        # of killed processes: a living one would hold the lock
        for draft_left in _drafts(path):
            draft_left.unlink(missing_ok=True)
        if path.exists() and has_rows(path, filled):
            return  # another process made it meanwhile
        with _draft(path, make) as draft:
            if path.exists() and path.stat().st_size:
                if has_rows(path, filled):
                    return  # put there meanwhile, as by a user who restores a copy
                _set_aside(path, known=table_names(draft))
            elif left := [each for each in family(path) if each != path]:
                # SQLite would add the log of a database that is gone to the new one
                aside = move_aside(path, "left")
                _log.warning(f"{left[0]} was left without its database: set aside, as {aside.name}")
            draft.replace(path)
            sync_folder(path.parent)


def check_readable(path: Path) -> None:
    """Raise UserError where the file is no SQLite database, or was cut short.

    By SQLite itself, and never by opening the file beside it. Closing any descriptor of a file
    drops all locks that this process has on it: SQLite's own connections then lose them, and
    another process that ends deletes the log, and all in it, from under them
    (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file: expected a SQLite database; name another folder")
    if path.stat().st_size:  # SQLite begins a new one in an empty file
        with _explained(path), closing(_connect(path)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def _why_damaged(path: Path, error: sqlite3.DatabaseError) -> str:
    """What is wrong with a file that SQLite has refused: its locks matter no more."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(b"SQLite format 3\0"):
        return "it is no SQLite database"
    # SQLite's file format, 1.3: the size of a page, and their number where it is up to date
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    up_to_date = header[24:28] == header[92:96]
    size, wanted = path.stat().st_size, pages * (65536 if page == 1 else page)
    return (
        f"it has {size:,} of its {wanted:,} bytes" if up_to_date and size < wanted else str(error)
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's refusals of a file into UserError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if _kind(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise DamagedDatabaseError(path, _why_damaged(path, error)) from error
        if _kind(error) in _WITHOUT_RIGHT:
            raise UserError(
                f"{path} cannot be opened ({error}): this user has to be allowed to write it, and "
                "into its folder"
            ) from error
        raise


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an existing file. Raises UserError where it is damaged or cannot be read."""
    check_readable(path)
    with _explained(path), closing(_connect(path)) as connection:
        yield connection


def damage_of(path: Path) -> str:
    """What is wrong with a database, by SQLite's own check of all of it; empty where nothing is.

    Raises UserError where it cannot be opened at all.
    """
    try:
        check_readable(path)
        with closing(_connect(path)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            return "" if found == "ok" else str(found).splitlines()[-1]
    except DamagedDatabaseError as error:
        return error.why
    except sqlite3.DatabaseError as error:
        if _kind(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return str(error)
        raise


def table_names(path: Path) -> set[str]:
    """The tables of a database. Raises UserError as `opened`."""
    with opened(path) as connection:
        return _tables(connection)


def family(path: Path) -> list[Path]:
    """A database and the files that SQLite keeps beside it, those that exist."""
    names = [path, *(path.with_name(path.name + end) for end in _BESIDE)]
    return [each for each in names if each.exists()]


def free_name(path: Path, ending: str) -> Path:
    """The first of `NAME.ENDING-1`, `NAME.ENDING-2`, ... that is free."""
    number = 1
    while family(found := path.with_name(f"{path.name}.{ending}-{number}")):
        number += 1
    return found


def move_aside(path: Path, ending: str) -> Path:
    """Rename a database with all that lies beside it; returns its new name."""
    aside = free_name(path, ending)
    for each in family(path):
        each.rename(each.with_name(each.name.replace(path.name, aside.name, 1)))
    return aside


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, also while others write to it."""
    with closing(_connect(source)) as connection, closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)


def has_rows(path: Path, table: str) -> bool:
    """Whether a database has this table with a row in it. Raises UserError as `opened`."""
    with opened(path) as connection:
        if table not in _tables(connection):
            return False
        return connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is not None


def _drafts(path: Path) -> list[Path]:
    """Drafts of a database, and what SQLite keeps beside them."""
    name = re.compile(rf"\.{re.escape(path.name)}-[0-9a-f]{{12}}(-made)?(-\w+)?")
    return [each for each in path.parent.iterdir() if name.fullmatch(each.name)]


@contextmanager
def _draft(path: Path, make: Callable[[str], None]) -> Iterator[Path]:
    """A whole database beside `path`, on disk to the last byte; removed where it still exists."""
    token = secrets.token_hex(6)
    made = path.with_name(f".{path.name}-{token}-made")
    draft = path.with_name(f".{path.name}-{token}")
    try:
        make(url_of(made))
        # copied, as the library that made it may keep its connection
        copy_database(made, draft)
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        sync(draft)
        yield draft
    finally:
        for each in (*family(made), *family(draft)):
            each.unlink(missing_ok=True)


def _set_aside(path: Path, known: Collection[str]) -> None:
    """Rename a half-made database. Raises UserError where it has tables that ours has not."""
    foreign = {name for name in table_names(path) if not name.startswith("_alembic_tmp")}
    foreign -= set(known)
    if foreign:
        raise UserError(
            f"{path} is the database of another program (it has the table {min(foreign)!r}): "
            "move it away, or name another folder with tracking.dir=PATH"
        )
    aside = move_aside(path, "half-made")
    _log.warning(f"{path} was left half-made by a start that was killed: kept as {aside.name}")


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {str(name) for (name,) in rows if not name.startswith("sqlite_")}


def _connect(path: Path) -> sqlite3.Connection:
    # never made here: a file that is missing stays missing
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", timeout=LOCK_SECONDS, uri=True)


def _kind(error: sqlite3.Error) -> int:
    # the low byte is the kind of error, the others which of them
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
