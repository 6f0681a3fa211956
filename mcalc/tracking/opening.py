"""The record that the settings name, opened for writing."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from filelock import FileLock
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.atomic_write import make_record_folder
from mcalc.errors import UserError
from mcalc.tracking.client import RecordClient
from mcalc.tracking.moved import rebase
from mcalc.tracking.places import artifacts_uri, file_at
from mcalc.tracking.server import (
    ServerClient,
    WaitingClient,
    check_address,
    is_served,
    refusal,
    server_retry,
)
from mcalc.tracking.store import open_database, open_local

UNSENT = "unsent"
"""Folder below `tracking.dir`: the record of runs that a server did not take."""


def open_record(
    directory: Path, experiment: str, uri: str | None, wait: float
) -> tuple[MlflowClient, str]:
    """The client of a record and its experiment's id, both made where they are not there yet.

    `wait`: seconds to wait for a server that is away.

    Raises UserError where the record cannot be opened, and UnreachableError after the wait.
    """
    if uri is None:
        client = open_local(directory)
    elif (database := file_at(uri)) is not None:
        make_record_folder(database.parent)
        client = open_database(database)
    else:
        return _open_server(directory, experiment, uri, wait)
    with _alone(directory):
        if uri is None:
            rebase(directory)
        return client, _experiment(client, experiment, artifacts_uri(directory))


def open_existing(directory: Path) -> MlflowClient:
    """The client of a record that is there, on this machine; of a moved one with its addresses set.

    Raises UserError where it cannot be opened.
    """
    client = open_local(directory)
    with _alone(directory):
        rebase(directory)
    return client


def open_unsent(directory: Path, experiment: str) -> tuple[MlflowClient, str]:
    """The record of runs that a server did not take, below the folder of the record."""
    place = directory / UNSENT
    make_record_folder(place)
    return open_record(place, experiment, None, 0.0)


def _open_server(
    directory: Path, experiment: str, uri: str, wait: float
) -> tuple[MlflowClient, str]:
    check_address(uri)
    waiting = WaitingClient(
        RecordClient(tracking_uri=uri), server_retry(uri, wait), lambda error: refusal(uri, error)
    )
    client = ServerClient(waiting, lambda: open_unsent(directory, experiment), directory / UNSENT)
    found = cast(MlflowClient, client)  # it has the methods that are used
    # a server chooses the place of its artifacts
    place = None if is_served(uri) else artifacts_uri(directory)
    try:
        with _alone(directory):
            return found, _experiment(found, experiment, place)
    except MlflowException as error:
        raise refusal(uri, error) from error


def _alone(directory: Path) -> FileLock:
    """One at a time: two workers that create the same experiment at once fail."""
    return FileLock(directory / ".mlflow.lock")


def _experiment(client: MlflowClient, name: str, place: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # without it the UI takes the experiment for one of chat traces
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, place, kind))
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise UserError(
            f"the experiment {name!r} was deleted in MLflow: restore it with `mlflow experiments "
            f"restore --experiment-id {found.experiment_id}`, or name another one with "
            "tracking.experiment=NAME"
        )
    return str(found.experiment_id)
