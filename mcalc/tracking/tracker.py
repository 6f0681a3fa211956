"""The record of sweeps and trials in MLflow, written.

One SQLite file (`mlflow.db`) and a folder of artifacts below `tracking.dir`. A sweep is a parent
run; each trial is a run of its own, a child where it belongs to a sweep. Everything of a trial is
written in a few batches: one by one, 600 values take two seconds.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock
from matplotlib.figure import Figure

# MLflow asks the network for usage statistics otherwise.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Each file read back would show a progress bar of its own.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.atomic_write import make_record_folder
from mcalc.results import (
    RECORD_FORMAT,
    SUPERSEDED_TAG,
    Artifacts,
    CurvePoint,
    Outcome,
    Predictions,
    RecordedTrial,
    check_format,
)

_BATCH = 900
"""MLflow takes at most 1000 metrics and 100 parameters a call."""
_FLUSH_SECONDS = 2.0
PARENT_TAG = "mlflow.parentRunId"
_DATABASE = "mlflow.db"
_FORMAT = "mcalc.format"


def database_uri(directory: Path) -> str:
    """MLflow's store below a tracking folder."""
    return f"sqlite:///{directory.resolve() / _DATABASE}"


def is_served(uri: str) -> bool:
    """Whether the address is that of a tracking server; others are databases."""
    return uri.startswith(("http://", "https://"))


def search(
    client: MlflowClient,
    experiments: list[str],
    tags: Mapping[str, str],
    state: str = "",
    order: str = "DESC",
) -> list[Run]:
    """Runs with these tags, and in this state where one is given; by start, the newest first.

    `order`: DESC, or ASC for the oldest first.
    """
    conditions = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    if state:
        conditions.append(f"attributes.status = '{state}'")
    query, by_time = " and ".join(conditions), [f"attributes.start_time {order}"]
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            experiments, query, max_results=5000, order_by=by_time, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def _write_ahead(database: Path) -> None:
    """Switch the file to SQLite's write-ahead log: readers (the UI) and a writer do not block each
    other, and a commit is one sync."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


class Tracker:
    """The record below one folder. Raises UserError where the folder cannot be written."""

    def __init__(self, directory: Path, experiment: str, uri: str | None = None) -> None:
        make_record_folder(directory)
        # the tables are created on first use, with a log line each
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # one at a time: two workers that create the same tables at once fail
        with FileLock(directory / ".mlflow.lock"):
            if uri is None:
                _write_ahead(directory / _DATABASE)
            self.client = MlflowClient(tracking_uri=uri or database_uri(directory))
            found = self.client.get_experiment_by_name(experiment)
            if found:
                self.experiment_id = found.experiment_id
            else:
                # a server chooses the place of its artifacts
                served = uri is not None and is_served(uri)
                place = None if served else (directory.resolve() / "artifacts").as_uri()
                # without it the UI takes the experiment for one of chat traces
                kind = {"mlflow.experimentKind": "custom_model_development"}
                self.experiment_id = self.client.create_experiment(experiment, place, kind)

    def _search(self, tags: Mapping[str, str], state: str = "", order: str = "DESC") -> list[Run]:
        return search(self.client, [self.experiment_id], tags, state, order)

    def _create_run(self, name: str, tags: Mapping[str, str]) -> str:
        origin = {
            "mlflow.user": "mcalc",
            "mlflow.source.name": "mcalc.train",
            _FORMAT: str(RECORD_FORMAT),
        }
        run = self.client.create_run(self.experiment_id, run_name=name, tags={**origin, **tags})
        return str(run.info.run_id)

    def finished(self, key: str, parent: str | None = None) -> Outcome | None:
        """The newest finished run of the trial with this key, of the sweep `parent` if given."""
        conditions = {"mcalc.kind": "trial", "mcalc.key": key}
        if parent:
            conditions[PARENT_TAG] = parent
        for run in self._search(conditions, state="FINISHED"):
            name, metrics = str(run.info.run_name), dict(run.data.metrics)
            return Outcome(name, key, "finished", str(run.info.run_id), metrics)
        return None

    def open_sweep(
        self, sweep: str, title: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> str:
        """The parent run of a sweep: `run_id`, the one there is, or a new one. Returns its id."""
        own = {"mcalc.kind": "sweep", "mcalc.sweep_id": sweep}
        known = [run_id] if run_id else [str(run.info.run_id) for run in self._search(own)]
        if known:
            self.client.update_run(known[0], status="RUNNING")
            return known[0]
        return self._create_run(sweep, {**tags, **own, "mcalc.sweep": title})

    def close_sweep(
        self, run_id: str, metrics: Mapping[str, float], texts: Mapping[str, str], *, complete: bool
    ) -> None:
        """End a sweep's parent run, with figures over its trials and files by name."""
        self.client.log_batch(run_id, metrics=_entries(metrics))
        for name, text in texts.items():
            self.client.log_text(run_id, text, name)
        self.client.set_terminated(run_id, "FINISHED" if complete else "FAILED")

    def runs_of(self, parent: str) -> list[RecordedTrial]:
        """Every trial's run of a sweep, in the order in which they began, without artifacts."""
        return [recorded_trial(run) for run in self._search({PARENT_TAG: parent}, order="ASC")]

    def run(self, run_id: str) -> RecordedTrial | None:
        """One run, without artifacts; None where there is none of this id."""
        try:
            return recorded_trial(self.client.get_run(run_id))
        except MlflowException:
            return None

    def open_trial(
        self,
        name: str,
        key: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None,
        run_id: str | None = None,
    ) -> RunWriter:
        """Open a trial's run, or resume `run_id`, which a dead worker left open.

        Without a sweep, runs of the same trial that a killed process left open are closed.
        """
        if run_id:
            self.client.update_run(run_id, status="RUNNING")
            written = self.client.get_metric_history(run_id, "val_loss")
            return RunWriter(self.client, run_id, max((e.step for e in written), default=-1))
        own = {"mcalc.kind": "trial", "mcalc.key": key}
        if parent:
            own[PARENT_TAG] = parent
        else:
            for run in self._search(own, state="RUNNING"):
                self.client.set_terminated(run.info.run_id, "KILLED")
        new = self._create_run(name, {**tags, **own})
        logged = [Param(k, str(v)) for k, v in params.items()]
        for start in range(0, len(logged), 100):
            self.client.log_batch(new, params=logged[start : start + 100])
        return RunWriter(self.client, new)

    def abandon(self, run_id: str) -> None:
        """Close a run that a killed worker opened and that no study knows."""
        self.client.set_tag(run_id, SUPERSEDED_TAG, "nothing: its worker was killed as it began")
        self.client.set_terminated(run_id, "KILLED")

    def supersede(self, run_id: str, by: str) -> None:
        """Mark a finished run as replaced by a later one of the same trial (rerun=true)."""
        self.client.set_tag(run_id, SUPERSEDED_TAG, by)


_STATE = "mcalc.state"
"""Set where MLflow's own states do not say enough: it has none for a pruned run."""


def recorded_trial(run: Run, artifacts: Artifacts | None = None) -> RecordedTrial:
    """An MLflow run as a trial. Raises UserError for one that a newer mcalc wrote."""
    tags = dict(run.data.tags)
    check_format(tags.get(_FORMAT), f"run {run.info.run_id}")
    states = {"FINISHED": "finished", "FAILED": "failed", "KILLED": tags.get(_STATE, "interrupted")}
    return RecordedTrial(
        run_id=str(run.info.run_id),
        name=str(run.info.run_name),
        state=states.get(str(run.info.status), "running"),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=tags,
        artifacts=artifacts,
    )


class RunWriter:
    """Writes an open MLflow run of one trial."""

    def __init__(self, client: MlflowClient, run_id: str, last_step: int = -1) -> None:
        self.client = client
        self.run_id = run_id
        self._last_step = last_step
        self._pending: list[Metric] = []
        self._flushed = time.monotonic()

    def point(self, point: CurvePoint) -> None:
        """Add an evaluation to the curve; it appears in the UI within seconds.

        One that was written before the run was cut off is not written again.
        """
        if point.iteration <= self._last_step:
            return
        values = {name: getattr(point, name) for name in _CURVE_COLUMNS if name != "iteration"}
        self._pending += _entries(values, point.iteration)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        for start in range(0, len(self._pending), _BATCH):
            self.client.log_batch(self.run_id, metrics=self._pending[start : start + _BATCH])
        self._pending = []
        self._flushed = time.monotonic()

    def finish(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write the final metrics, but for those that are nan or infinite, and close the run."""
        self._close(metrics, {**tags, _STATE: "finished"}, "FINISHED")

    def _close(self, metrics: Mapping[str, float], tags: Mapping[str, str], status: str) -> None:
        self._flush()
        written = [RunTag(k, v) for k, v in tags.items()]
        self.client.log_batch(self.run_id, metrics=_entries(metrics), tags=written)
        self.client.set_terminated(self.run_id, status)

    def fail(self, error: str, trace: str, *, killed: bool = False) -> None:
        """Close the run as FAILED (or KILLED) with its error."""
        self._flush()
        self.client.set_tag(self.run_id, "mcalc.error", error[:5000])
        self.client.set_tag(self.run_id, _STATE, "interrupted" if killed else "failed")
        if trace:
            self.client.log_text(self.run_id, trace, "traceback.txt")
        self.client.set_terminated(self.run_id, "KILLED" if killed else "FAILED")

    def prune(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Close the run of a trial that the pruner ended."""
        self._close(metrics, {**tags, _STATE: "pruned"}, "KILLED")

    def table(self, predictions: Predictions) -> None:
        """The predictions, as MLflow's table (seen in the UI) and as CSV (read by the report)."""
        frame = pd.DataFrame({"lesion": predictions.ids, "malignant": predictions.labels})
        frame["probability"] = predictions.probabilities
        self.client.log_table(self.run_id, frame, "predictions.json")
        self.client.log_text(self.run_id, frame.to_csv(index=False), "predictions.csv")

    def curve(self, curve: Sequence[CurvePoint]) -> None:
        """The whole curve as CSV."""
        frame = pd.DataFrame([astuple(point) for point in curve], columns=_CURVE_COLUMNS)
        self.client.log_text(self.run_id, frame.to_csv(index=False), "curve.csv")

    def text(self, text: str, name: str) -> None:
        """A text file."""
        self.client.log_text(self.run_id, text, name)

    def figure(self, figure: Figure, name: str) -> None:
        """A picture."""
        self.client.log_figure(self.run_id, figure, name)

    def crops(self, crops: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Small PNGs by lesion, for the report's sheets."""
        with tempfile.TemporaryDirectory() as folder:
            for lesion, image in crops.items():
                # ids may be paths (data=folder)
                cv2.imwrite(str(Path(folder) / f"{quote(lesion, safe='')}.png"), image)
            self.client.log_artifacts(self.run_id, folder, "crops")

    def file(self, path: Path) -> None:
        """A file as it is."""
        self.client.log_artifact(self.run_id, str(path))


_CURVE_COLUMNS = [entry.name for entry in fields(CurvePoint)]


def _entries(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    """MLflow's entries of the values that are finite."""
    now = int(time.time() * 1000)
    return [Metric(k, float(v), now, step) for k, v in values.items() if np.isfinite(v)]
