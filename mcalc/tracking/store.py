"""MLflow's store of a record: opened, and made where there is none.

By default one SQLite file (`mlflow.db`) and a folder of artifacts below `tracking.dir`.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

# MLflow asks the network for usage statistics otherwise.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Each file read back would show a progress bar of its own.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
from alembic.util import CommandError
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from mcalc.connections import close_at_exit
from mcalc.errors import UserError
from mcalc.sqlite_file import ensure_database, family, has_rows, url_of
from mcalc.sqlite_template import Template
from mcalc.tracking.client import RecordClient
from mcalc.tracking.places import DATABASE, database_of

_FILLED = "experiments"
"""MLflow writes its default experiment into this table when all tables are there."""


def read_local(directory: Path) -> MlflowClient | None:
    """MLflow over the database below a folder, for reading; None where nothing is recorded.

    In a folder that cannot be written, a copy is read: a write-ahead log needs files beside it.

    Raises UserError as `open_local`.
    """
    database = database_of(directory)
    if not database.exists():
        return None
    if not os.access(database.parent, os.W_OK):
        folder = Path(tempfile.mkdtemp(prefix="mcalc-record-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for each in family(database):
            shutil.copy(each, folder)
        database = folder / DATABASE
    return open_database(database) if has_rows(database, _FILLED) else None


def open_local(directory: Path) -> MlflowClient:
    """MLflow over the database below an existing folder, which is made where there is none.

    Raises UserError where it is damaged, or was written by another version of MLflow.
    """
    return open_database(database_of(directory))


def open_database(database: Path) -> MlflowClient:
    """As `open_local`, for a file of any name in a folder that exists."""
    close_at_exit()
    _ensure(database)
    try:
        # MLflow compares the version of the tables
        client = _client(url_of(database))
        client.search_experiments(max_results=1)
    except (MlflowException, CommandError) as error:
        if isinstance(error, MlflowException) and "schema" not in str(error):
            raise
        raise UserError(
            f"{database} was written by another version of MLflow ({_first_line(error)}): use the "
            "version that wrote it, or copy the file and run `mlflow db upgrade "
            f"{url_of(database)}`"
        ) from error
    _remove_stray_folders(url_of(database))
    return client


def _ensure(database: Path) -> None:
    try:
        ensure_database(database, _copy_tables, _FILLED)
    except (MlflowException, CommandError, SQLAlchemyError):
        # MLflow did not take what was copied: its own tables are right, or fail of the same
        _TABLES.forget()
        ensure_database(database, _make_tables, _FILLED)


def _copy_tables(url: str) -> None:
    _TABLES.fill(url)
    # MLflow looks whether they are its own, and adds its default experiment
    _make_tables(url)


def _make_tables(url: str) -> None:
    _client(url).search_experiments()
    _remove_stray_folders(url)


_TABLES = Template("mlflow", "store/db_migrations/versions", _make_tables, (_FILLED,))


def _client(url: str) -> MlflowClient:
    # each step of making the tables would be a line
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # and each error of the database a traceback, before it is raised
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return RecordClient(tracking_uri=url)


def _remove_stray_folders(url: str) -> None:
    """Remove the empty folders that MLflow makes where it takes an address for a path.

    An address writes some characters of a path in another way (`%3F` for a question mark).
    """
    folder = Path(url.removeprefix("sqlite:///")).parent
    while "%" in str(folder) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
