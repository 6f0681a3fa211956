"""Whose files lie in the folder of artifacts, by what MLflow has of each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mcalc.config import TrackingConfig
from mcalc.results import SUPERSEDED_TAG
from mcalc.tracking.opening import UNSENT
from mcalc.tracking.removal import every_run, place_of
from mcalc.tracking.runs import PARENT_TAG, recorded_trial
from mcalc.tracking.store import read_local
from mcalc.tracking.unsent import SENT_TAG


@dataclass(frozen=True)
class RunSpace:
    """A run and the folder of its files."""

    run_id: str
    sweep: str
    """Title of its sweep; empty for a trial of none."""
    state: str
    """As of a recorded trial, or `replaced`, or `deleted` (marked so in MLflow)."""
    trajectory: str
    sent: bool
    """Of a run that a server did not take at first: whether it has it now."""


def read_space(tracking: TrackingConfig) -> dict[str, RunSpace]:
    """Every run of a record on this machine, by id; those of a server have no files here."""
    if tracking.uri and not tracking.uri.startswith("sqlite"):
        return {}
    uri = tracking.uri
    client = MlflowClient(tracking_uri=uri) if uri else read_local(Path(tracking.dir))
    return _described(client, None if uri else Path(tracking.dir))


def read_unsent(tracking: TrackingConfig) -> dict[str, RunSpace]:
    """Every run that a server did not take at first, by id."""
    place = Path(tracking.dir) / UNSENT
    return _described(read_local(place), place)


def _described(client: MlflowClient | None, directory: Path | None) -> dict[str, RunSpace]:
    runs = every_run(client) if client else []
    titles = {str(run.info.run_id): run.data.tags.get("mcalc.sweep_id", "") for run in runs}
    return {str(run.info.run_id): _of(run, titles, directory) for run in runs}


def _of(run: Run, titles: Mapping[str, str], directory: Path | None) -> RunSpace:
    tags = run.data.tags
    own = tags.get("mcalc.sweep_id", "")
    state = recorded_trial(run).state
    if place_of(run, directory).deleted:
        state = "deleted"
    elif SUPERSEDED_TAG in tags:
        state = "replaced"
    return RunSpace(
        str(run.info.run_id),
        titles.get(tags.get(PARENT_TAG, ""), "") or own,
        state if tags.get("mcalc.kind") == "trial" else "finished",
        tags.get("mcalc.trajectory", ""),
        SENT_TAG in tags,
    )
