"""The runs of a sweep, removed from MLflow for good where the record is on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.tracking import MlflowClient

from mcalc.tracking.moved import lost_folder
from mcalc.tracking.places import ARTIFACTS
from mcalc.tracking.runs import PARENT_TAG, every
from mcalc.tracking.server import ServerClient
from mcalc.tracking.tracker import Tracker

_BY_TIME = "attributes.start_time DESC"


@dataclass(frozen=True)
class RunPlace:
    """A run, deleted ones included, and where its files lie."""

    run_id: str
    tags: Mapping[str, str]
    deleted: bool
    folder: Path | None
    """With all that the run keeps; None where a server has it."""


class Removal:
    """Removes runs from the record that a tracker opened."""

    def __init__(self, tracker: Tracker) -> None:
        self.client = tracker.client
        self.experiment = tracker.experiment_id
        self._directory = tracker.directory
        self.final = not isinstance(tracker.client, ServerClient)
        """Whether runs are gone for good; a server marks them as deleted (`mlflow gc`)."""

    def of_sweep(self, parent: str) -> list[RunPlace]:
        """The runs of a sweep, its parent run last, as far as they are there."""
        below = self._found(f"tags.`{PARENT_TAG}` = '{parent}'")
        return below + self._found(f"attributes.run_id = '{parent}'")

    def of_trajectory(self, trajectory: str) -> list[RunPlace]:
        """Every run that was taken from a training run."""
        return self._found(f"tags.`mcalc.trajectory` = '{trajectory}'")

    def remove(self, run: RunPlace) -> None:
        """Remove one run: its files first, so that a kill leaves the run to be found again."""
        if not run.deleted:
            self.client.delete_run(run.run_id)
        if not self.final:
            return
        if run.folder:
            shutil.rmtree(run.folder, ignore_errors=True)
        # what `mlflow gc` calls for each run
        self.client._tracking_client.store._hard_delete_run(run.run_id)

    def _found(self, query: str) -> list[RunPlace]:
        found = every(self.client, [self.experiment], query, _BY_TIME, ViewType.ALL)
        places = [place_of(run, self._directory) for run in found]
        # a server marks runs, and those that are marked already are done
        return [each for each in places if self.final or not each.deleted]


def place_of(run: Run, directory: Path | None) -> RunPlace:
    """Where a run lies; `directory` is that of a record on this machine.

    There nothing outside it is a run's, whatever address MLflow has.
    """
    run_id, address = str(run.info.run_id), urlsplit(str(run.info.artifact_uri))
    place = Path(unquote(address.path))
    ours = address.scheme == "file" and (place.name, place.parent.name) == (ARTIFACTS, run_id)
    deleted = str(run.info.lifecycle_stage) == LifecycleStage.DELETED
    folder = place.parent if ours else None
    if directory:
        here = lost_folder(directory, run_id).parent
        folder = here if here.is_dir() else None
    return RunPlace(run_id, dict(run.data.tags), deleted, folder)


def every_run(client: MlflowClient) -> list[Run]:
    """All runs of all experiments of a store, deleted ones included."""
    experiments = [each.experiment_id for each in client.search_experiments(ViewType.ALL)]
    return every(client, experiments, "", _BY_TIME, ViewType.ALL)
