"""Runs that a tracking server did not take: found, and sent when it is back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.results import LOCAL_TAG, SERVER_TAG, SUPERSEDED_TAG
from mcalc.tracking.opening import UNSENT, open_unsent
from mcalc.tracking.places import database_of
from mcalc.tracking.run_writer import BATCH, PARAMS
from mcalc.tracking.runs import PARENT_TAG, search

SENT_TAG = "mcalc.sent"
"""Tag of a run on this machine: the run on the server that holds all of it."""
_log = logging.getLogger(__name__)


class Unsent:
    """The record of runs that a server did not take, below the folder of the record."""

    def __init__(self, directory: Path, experiment: str) -> None:
        self.directory = directory
        self.experiment = experiment
        self._opened: tuple[MlflowClient, str] | None = None

    @property
    def place(self) -> Path:
        """Folder of the record."""
        return self.directory / UNSENT

    def runs(self, key: str = "") -> list[Run]:
        """Runs that are not sent, the oldest first; with a key, those of its trial."""
        record = self._record()
        if record is None:
            return []
        client, experiment = record
        tags = {"mcalc.kind": "trial"} | ({"mcalc.key": key} if key else {})
        found = search(client, [experiment], tags, order="ASC")
        return [run for run in found if SENT_TAG not in run.data.tags]

    def run(self, run_id: str) -> Run | None:
        """A run of this machine, sent or not; None where there is none of this id."""
        record = self._record()
        if record is None:
            return None
        try:
            return record[0].get_run(run_id)
        except MlflowException:
            return None

    def record_of(self, run_id: str) -> tuple[MlflowClient, Path] | None:
        """The client and the folder that have a run which is not sent; None of any other."""
        record, run = self._record(), self.run(run_id)
        if record is None or run is None or SENT_TAG in run.data.tags:
            return None
        return record[0], self.place

    def abandon(self, run_id: str) -> None:
        """Close a run that a killed worker left, and that is not to be sent."""
        record = self._record()
        assert record is not None
        client, _ = record
        client.set_tag(run_id, SUPERSEDED_TAG, "nothing: its worker was killed")
        client.set_tag(run_id, SENT_TAG, "nothing")
        client.set_terminated(run_id, "KILLED")

    def send(self, server: MlflowClient, experiment: str) -> Iterator[tuple[str, str]]:
        """Send every run that has ended; gives name and id on the server of each.

        A run is marked when all of it is there. Sent again, after a kill, it is written over with
        the same content.
        """
        record = self._record()
        if record is None:
            return
        client, _ = record
        for run in self.runs():
            if run.info.status == "RUNNING":
                _log.warning(
                    f"  {run.info.run_name} is not sent: its worker runs, or was killed; the same "
                    "command as before resumes it"
                )
                continue
            target = _target(server, experiment, run)
            _copy(client, run, server, target)
            _replace_earlier(server, experiment, run, target)
            client.set_tag(run.info.run_id, SENT_TAG, target)
            yield str(run.info.run_name), target

    def _record(self) -> tuple[MlflowClient, str] | None:
        if self._opened is None and database_of(self.place).is_file():
            self._opened = open_unsent(self.directory, self.experiment)
        return self._opened


def _target(server: MlflowClient, experiment: str, run: Run) -> str:
    """The run on the server that a run of this machine belongs to, made where there is none."""
    local = run.info.run_id
    if begun := run.data.tags.get(SERVER_TAG):
        try:
            return str(server.get_run(begun).info.run_id)
        except MlflowException:
            pass  # the server has lost it
    if found := search(server, [experiment], {LOCAL_TAG: local}):
        return str(found[0].info.run_id)
    tags = {LOCAL_TAG: local}
    made = server.create_run(experiment, run.info.start_time, tags, run.info.run_name)
    return str(made.info.run_id)


def _copy(client: MlflowClient, run: Run, server: MlflowClient, target: str) -> None:
    """Write all of a run into another; what is there already stays as it is."""
    local = run.info.run_id
    params = [Param(name, value) for name, value in run.data.params.items()]
    for start in range(0, len(params), PARAMS):
        server.log_batch(target, params=params[start : start + PARAMS])
    # with their times, by which the server knows a value that it has
    metrics: list[Metric] = []
    for name in run.data.metrics:
        metrics += client.get_metric_history(local, name)
    for start in range(0, len(metrics), BATCH):
        server.log_batch(target, metrics=metrics[start : start + BATCH])
    tags = [RunTag(name, value) for name, value in run.data.tags.items() if name != SERVER_TAG]
    server.log_batch(target, tags=tags)
    if run.inputs and run.inputs.dataset_inputs:
        server.log_inputs(target, datasets=run.inputs.dataset_inputs)
    folder = client.download_artifacts(local, "")
    if any(Path(folder).iterdir()):
        server.log_artifacts(target, folder)
    server.set_terminated(target, run.info.status, run.info.end_time)


def _replace_earlier(server: MlflowClient, experiment: str, run: Run, target: str) -> None:
    """Of several finished runs of one trial in a sweep, let the one that began last count."""
    parent = run.data.tags.get(PARENT_TAG)
    if parent is None or run.info.status != "FINISHED":
        return
    tags = {"mcalc.key": run.data.tags["mcalc.key"], PARENT_TAG: parent}
    finished = search(server, [experiment], tags, state="FINISHED")
    newest = str(finished[0].info.run_id)
    for other in finished[1:]:
        if SUPERSEDED_TAG not in other.data.tags:
            server.set_tag(other.info.run_id, SUPERSEDED_TAG, newest)
