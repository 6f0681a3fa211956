"""The record read back: finished trials.

Reads the store that the settings name: `mlflow.db` below `tracking.dir`, or the server or database
of `tracking.uri`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import urlopen

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.config import TrackingConfig
from mcalc.errors import UserError, without_password
from mcalc.results import SUPERSEDED_TAG, Artifacts, RecordedTrial
from mcalc.secret_text import hidden
from mcalc.tracking.counting import newest_first
from mcalc.tracking.files import (
    BASELINES_FILE,
    CROPS,
    CURVE_FILE,
    MASKS,
    NETWORK_FILE,
    PREDICTIONS_FILE,
    SAMPLES_FILE,
    VALIDATION_FILE,
    read_baselines,
    read_curve,
    read_evidence,
    read_predictions,
    read_validation,
)
from mcalc.tracking.places import nothing_recorded
from mcalc.tracking.runs import PARENT_TAG, recorded_trial, search
from mcalc.tracking.server import (
    WaitingClient,
    check_address,
    is_served,
    refusal,
    server_retry,
)
from mcalc.tracking.store import read_local
from mcalc.tracking.stored_files import FetchedFiles, place_of, run_files

_READ = (
    PREDICTIONS_FILE, CURVE_FILE, VALIDATION_FILE, SAMPLES_FILE, BASELINES_FILE, CROPS, MASKS,
)  # fmt: skip
"""What a report reads of each run: not its network, by far the largest, which few ask for."""


def reading_client(tracking: TrackingConfig) -> MlflowClient | None:
    """The store's client; None where nothing is recorded yet.

    Raises UserError at once for a server that cannot be reached: MLflow would try for minutes. The
    client raises it where the server refuses, as without its password.
    """
    if tracking.uri:
        check_address(tracking.uri)
    if tracking.uri and is_served(tracking.uri):
        try:
            urlopen(f"{tracking.uri}/health", timeout=10).close()
        except HTTPError:
            pass  # it answers, if only by a proxy
        except (OSError, ValueError, HTTPException) as error:
            raise UserError(
                f"the tracking server {without_password(tracking.uri)} cannot be reached "
                f"({hidden(str(getattr(error, 'reason', error)), tracking.uri)}): start it, or "
                "correct tracking.uri"
            ) from error
    if tracking.uri is None:
        return read_local(Path(tracking.dir))
    asking = WaitingClient(
        MlflowClient(tracking_uri=tracking.uri),
        server_retry(tracking.uri, 0.0),
        partial(refusal, tracking.uri),
    )
    return cast(MlflowClient, asking)


def read_trials(tracking: TrackingConfig, sweep: str | None = None) -> list[RecordedTrial]:
    """Finished trials of the newest recorded sweep of that title, or all single trials for None.

    Of several finished runs of one name, the one that began, or was asked for, last counts. In that
    order, the oldest first.
    Raises UserError when there is no such record.
    """
    client = reading_client(tracking)
    if client is None:
        raise nothing_recorded(tracking)
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs: list[Run] = []
    if sweep is None:
        trials = search(client, experiments, {"mcalc.kind": "trial"}, "FINISHED")
        runs = [run for run in trials if PARENT_TAG not in run.data.tags]
    else:
        runs = newest_sweep(client, experiments, sweep, "FINISHED")
    newest: dict[str, Run] = {}
    for run in newest_first(runs):
        if SUPERSEDED_TAG not in run.data.tags:
            newest.setdefault(str(run.info.run_name), run)
    return [_read_trial(client, run, tracking) for run in reversed(newest.values())]


def finished_trials(tracking: TrackingConfig) -> list[RecordedTrial]:
    """Every finished trial of a record, without artifacts, in the order in which they began.

    Without runs that a later one replaced. Raises UserError when there is no such record.
    """
    client = reading_client(tracking)
    if client is None:
        raise nothing_recorded(tracking)
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = search(client, experiments, {"mcalc.kind": "trial"}, "FINISHED", "ASC")
    return [recorded_trial(run) for run in runs if SUPERSEDED_TAG not in run.data.tags]


def newest_sweep(
    client: MlflowClient, experiments: list[str], sweep: str, state: str = ""
) -> list[Run]:
    """Runs of the newest recording of a sweep that has any (in a state), the newest run first.

    `sweep`: its title, or its id. A recording without a finished trial counts only where none has
    one, so that a sweep that has just begun does not hide the one before.
    """
    parents: list[Run] = []
    for tag in ("mcalc.sweep", "mcalc.sweep_id"):
        parents += search(client, experiments, {"mcalc.kind": "sweep", tag: sweep})
    begun: list[Run] = []
    for parent in parents:
        runs = search(client, experiments, {PARENT_TAG: parent.info.run_id})
        if any(run.info.status == "FINISHED" for run in runs):
            return [run for run in runs if not state or run.info.status == state]
        begun = begun or runs
    return [run for run in begun if not state or run.info.status == state]


def _read_trial(client: MlflowClient, run: Run, tracking: TrackingConfig) -> RecordedTrial:
    directory = Path(tracking.dir) if tracking.uri is None else None
    place = place_of(client, run, directory)
    fetched = None if place else FetchedFiles(client, str(run.info.run_id), _READ)
    folder = fetched.path if fetched else place
    assert folder is not None  # one of the two
    has_network = NETWORK_FILE in fetched.names if fetched else (folder / NETWORK_FILE).is_file()
    try:
        artifacts = Artifacts(
            predictions=read_predictions(folder),
            curve=read_curve(folder),
            validation=read_validation(folder),
            evidence=read_evidence(folder),
            crops=_pictures(folder / CROPS),
            masks=_pictures(folder / MASKS),
            network=_network_of(tracking, run, place) if has_network else None,
            kept=fetched,
        )
        baselines = read_baselines(folder)
    except (csv.Error, KeyError, OSError, TypeError, ValueError) as error:
        raise _unreadable(run, error) from error
    trial = recorded_trial(run, artifacts)
    return replace(trial, metrics={**baselines, **trial.metrics})


def _unreadable(run: Run, error: Exception) -> UserError:
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):
        what = f"{Path(str(error.filename)).name}: {error.strerror}"
    return UserError(
        f"the files of {run.info.run_name}, run {run.info.run_id}, cannot be read ({what}): put "
        "them back, or run the trial again with rerun=true (`python -m mcalc.sweep check` names "
        "what is damaged)"
    )


def _network_of(
    tracking: TrackingConfig, run: Run, place: Path | None
) -> Callable[[], AbstractContextManager[Path]]:
    """Gives the file of a network; without a client, so that another process may be told it."""
    if place is not None:
        return partial(_network_here, place / NETWORK_FILE)
    return partial(_fetched_network, tracking, str(run.info.run_id))


@contextmanager
def _network_here(file: Path) -> Iterator[Path]:
    yield file


@contextmanager
def _fetched_network(tracking: TrackingConfig, run_id: str) -> Iterator[Path]:
    client = reading_client(tracking)
    assert client is not None  # the run was found there
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise UserError(f"run {run_id} was deleted while it was read: try again") from error
    with run_files(client, run, None, [NETWORK_FILE]) as folder:
        yield folder / NETWORK_FILE


def _pictures(folder: Path) -> dict[str, str]:
    """Lesion -> path of its picture."""
    return {unquote(file.stem): str(file) for file in sorted(folder.glob("*.png"))}
