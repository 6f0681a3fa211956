"""The record read back: finished trials, and how fast they ran.

Reads the store that the settings name: `mlflow.db` below `tracking.dir`, or the server or database
of `tracking.uri`.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import cast
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import urlopen

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mcalc.config import TrackingConfig
from mcalc.errors import UserError, without_password
from mcalc.results import SUPERSEDED_TAG, Artifacts, RecordedTrial
from mcalc.secret_text import hidden
from mcalc.tracking.files import read_curve, read_predictions
from mcalc.tracking.runs import PARENT_TAG, artifacts_of, recorded_trial, search
from mcalc.tracking.server import (
    WaitingClient,
    check_address,
    is_served,
    refusal,
    server_retry,
)
from mcalc.tracking.store import read_local

_HARDWARE = ("device", "precision", "memory_format", "threads")
"""Tags of what a trial's speed depends on."""
NETWORK_BYTES_TAG = "mcalc.network_bytes"
"""Size of the weights of a trial's network."""


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


@dataclass(frozen=True)
class Speed:
    """How fast trials of one kind were."""

    seconds: float
    """An iteration, evaluations included: the median of the newest trials."""
    network_bytes: int | None
    """Size of the network's weights; None where the record does not have it."""


def read_speeds(tracking: TrackingConfig, host: str) -> dict[tuple[str, ...], Speed]:
    """How fast trials on this host were.

    By backbone, batch, what is frozen, device, precision, memory format and threads.
    """
    client = reading_client(tracking)
    if client is None:
        return {}
    runs = client.search_runs(
        [found.experiment_id for found in client.search_experiments()],
        f"tags.`mcalc.host` = '{host}' and attributes.status = 'FINISHED'",
        max_results=500,
        order_by=["attributes.start_time DESC"],
    )
    found: dict[tuple[str, ...], list[float]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for run in runs:
        tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
        kind = (
            *(params.get(key, "") for key in ("backbone.name", "trainer.batch_size")),
            what_is_frozen(params.get("backbone.freeze", "0"), params.get("augment.enabled", "")),
            *(tags.get(f"mcalc.{name}", "") for name in _HARDWARE),
        )
        if metrics.get("iterations"):
            found.setdefault(kind, []).append(metrics["seconds"] / metrics["iterations"])
            if (size := tags.get(NETWORK_BYTES_TAG, "")).isdecimal():
                sizes.setdefault(kind, int(size))
    return {kind: Speed(statistics.median(each), sizes.get(kind)) for kind, each in found.items()}


def what_is_frozen(stages: str, augments: str) -> str:
    """The part of a training step that is not computed in it, by two settings as they are recorded.

    Without augmentation, stages that are frozen are computed once.
    """
    return stages if stages in ("0", "all") or augments == "True" else f"{stages} once"


def read_trials(tracking: TrackingConfig, sweep: str | None = None) -> list[RecordedTrial]:
    """Finished trials of the newest recorded sweep of that title, or all single trials for None.

    Of several finished runs of one name, the newest counts. In the order in which they began.
    Raises UserError when there is no such record.
    """
    client = reading_client(tracking)
    if client is None:
        raise UserError(
            f"nothing is recorded in {tracking.dir}: run `make tables`, or "
            "`python -m mcalc.train -m sweep=alexnet,googlenet`, first"
        )
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs: list[Run] = []
    if sweep is None:
        trials = search(client, experiments, {"mcalc.kind": "trial"}, "FINISHED")
        runs = [run for run in trials if PARENT_TAG not in run.data.tags]
    else:
        parents: list[Run] = []
        for tag in ("mcalc.sweep", "mcalc.sweep_id"):
            parents += search(client, experiments, {"mcalc.kind": "sweep", tag: sweep})
        for parent in parents:
            runs = search(client, experiments, {PARENT_TAG: parent.info.run_id}, "FINISHED")
            if runs:
                break
    newest: dict[str, Run] = {}
    for run in runs:
        if SUPERSEDED_TAG not in run.data.tags:
            newest.setdefault(str(run.info.run_name), run)
    directory = Path(tracking.dir) if tracking.uri is None else None
    return [_read_trial(client, run, directory) for run in reversed(newest.values())]


def _read_trial(client: MlflowClient, run: Run, directory: Path | None) -> RecordedTrial:
    folder = artifacts_of(client, run, directory)
    crops = sorted((folder / "crops").glob("*.png"))
    artifacts = Artifacts(
        predictions=read_predictions(folder),
        curve=read_curve(folder),
        crops={unquote(file.stem): str(file) for file in crops},
    )
    return recorded_trial(run, artifacts)
