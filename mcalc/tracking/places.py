"""Where a record on this machine lies below its folder, said without importing MLflow."""

from __future__ import annotations

from pathlib import Path

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.sqlite_file import file_of, url_of

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
"""Folder of the artifacts, beside the database."""


def database_of(directory: Path) -> Path:
    """MLflow's database below a tracking folder."""
    return directory.resolve() / DATABASE


def database_uri(directory: Path) -> str:
    """Address of MLflow's database below a tracking folder."""
    return url_of(database_of(directory))


def artifacts_uri(directory: Path) -> str:
    """Address of the folder of artifacts below a tracking folder."""
    return (directory.resolve() / ARTIFACTS).as_uri()


def tracking_file(tracking: TrackingConfig) -> Path | None:
    """The file of MLflow's store that the settings name; None for a server."""
    return database_of(Path(tracking.dir)) if tracking.uri is None else file_at(tracking.uri)


def file_at(uri: str) -> Path | None:
    """The file of a SQLite address; None for any other, which `check_address` looks at."""
    from sqlalchemy.exc import ArgumentError  # late: a command that finds no record needs none

    try:
        return file_of(uri)
    except (ArgumentError, ValueError):
        return None


def refuse_nothing(tracking: TrackingConfig, asked: str = "") -> None:
    """Raise UserError, as `nothing_recorded`, where this machine has no record.

    A server is not asked.
    """
    if tracking.uri is None and not database_of(Path(tracking.dir)).exists():
        raise nothing_recorded(tracking, asked)


def nothing_recorded(tracking: TrackingConfig, asked: str = "") -> UserError:
    """The error of a command that reads a record where there is none.

    `asked`: the argument that names a trial of it, if one does.
    """
    if asked:
        return UserError(
            f"{asked}: nothing is recorded in {tracking.dir}: name the folder of the record with "
            "tracking.dir=PATH"
        )
    return UserError(
        f"nothing is recorded in {tracking.dir}: run `make tables`, or "
        "`python -m mcalc.train -m sweep=alexnet,googlenet`, first"
    )
