"""The record of sweeps and trials in MLflow: the only module that imports it.

One SQLite file (`mlflow.db`) and a folder of artifacts below `tracking.dir`. A sweep is a parent
run; each trial is a run of its own, a child where it belongs to a sweep. Everything of a trial is
written in a few batches: one by one, 600 values take two seconds.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

# MLflow asks the network for usage statistics otherwise.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Each file read back would show a progress bar of its own.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

from mcalc.errors import UserError
from mcalc.results import CurvePoint, Outcome, Predictions, RecordedTrial

_BATCH = 900
"""MLflow takes at most 1000 metrics and 100 parameters a call."""
_FLUSH_SECONDS = 2.0
_PARENT = "mlflow.parentRunId"


def database_uri(directory: Path) -> str:
    """MLflow's store below a tracking folder."""
    return f"sqlite:///{directory.resolve() / 'mlflow.db'}"


class Tracker:
    """The record below one folder. Raises UserError where the folder cannot be written."""

    def __init__(self, directory: Path, experiment: str) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the record folder {directory} cannot be made ({error.strerror}): name a writable "
                "one with tracking.dir=PATH"
            ) from error
        # the tables are made on first use, with a line of log each
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.client = MlflowClient(tracking_uri=database_uri(directory))
        found = self.client.get_experiment_by_name(experiment)
        self.experiment_id = (
            found.experiment_id
            if found
            else self.client.create_experiment(
                experiment,
                artifact_location=(directory.resolve() / "artifacts").as_uri(),
                # without it the UI takes the experiment for one of chat traces
                tags={"mlflow.experimentKind": "custom_model_development"},
            )
        )

    def _search(self, conditions: Mapping[str, str], *, state: str | None = None) -> list[Run]:
        """Runs whose tags are as given, newest first."""
        query = [f"tags.`{name}` = '{value}'" for name, value in conditions.items()]
        if state:
            query.append(f"attributes.status = '{state}'")
        return list(
            self.client.search_runs(
                [self.experiment_id],
                " and ".join(query),
                max_results=5000,
                order_by=["attributes.start_time DESC"],
            )
        )

    def finished(self, key: str, parent: str | None = None) -> Outcome | None:
        """The newest finished run of the trial with this key, of the sweep `parent` if given."""
        conditions = {"mcalc.kind": "trial", "mcalc.key": key}
        if parent:
            conditions[_PARENT] = parent
        for run in self._search(conditions, state="FINISHED"):
            name, metrics = str(run.info.run_name), dict(run.data.metrics)
            return Outcome(name, key, "finished", str(run.info.run_id), metrics)
        return None

    def open_sweep(self, sweep: str, title: str, tags: Mapping[str, str]) -> str:
        """The parent run of a sweep: the one there is, or a new one. Returns its id."""
        for run in self._search({"mcalc.kind": "sweep", "mcalc.sweep_id": sweep}):
            self.client.update_run(run.info.run_id, status="RUNNING")
            return str(run.info.run_id)
        own = {"mcalc.kind": "sweep", "mcalc.sweep_id": sweep, "mcalc.sweep": title}
        run = self.client.create_run(
            self.experiment_id, run_name=sweep, tags={**_origin(), **tags, **own}
        )
        return str(run.info.run_id)

    def close_sweep(self, run_id: str, metrics: Mapping[str, float], *, complete: bool) -> None:
        """End a sweep's parent run, with figures over its trials."""
        now = int(time.time() * 1000)
        self.client.log_batch(run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])
        self.client.set_terminated(run_id, "FINISHED" if complete else "FAILED")

    def open_trial(
        self,
        name: str,
        key: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None,
    ) -> TrialRecord:
        """Begin a trial's run; close runs of the same trial that a killed process left open."""
        for run in self._search({"mcalc.kind": "trial", "mcalc.key": key}, state="RUNNING"):
            self.client.set_terminated(run.info.run_id, "KILLED")
        own = {"mcalc.kind": "trial", "mcalc.key": key}
        if parent:
            own[_PARENT] = parent
        run = self.client.create_run(
            self.experiment_id, run_name=name, tags={**_origin(), **tags, **own}
        )
        run_id = str(run.info.run_id)
        logged = [Param(k, str(v)) for k, v in params.items()]
        for start in range(0, len(logged), 100):
            self.client.log_batch(run_id, params=logged[start : start + 100])
        return TrialRecord(self.client, run_id)


class TrialRecord:
    """One trial's run while it is written."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._pending: list[Metric] = []
        self._flushed = time.monotonic()

    def point(self, point: CurvePoint) -> None:
        """Add an evaluation to the curve; seen in the UI within seconds."""
        now = int(time.time() * 1000)
        for entry in fields(CurvePoint):
            if entry.name != "iteration":
                value = float(getattr(point, entry.name))
                self._pending.append(Metric(entry.name, value, now, point.iteration))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        for start in range(0, len(self._pending), _BATCH):
            self.client.log_batch(self.run_id, metrics=self._pending[start : start + _BATCH])
        self._pending = []
        self._flushed = time.monotonic()

    def finish(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write the final figures and close the run. Figures that are no number are left out."""
        self._flush()
        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id,
            metrics=[Metric(k, float(v), now, 0) for k, v in metrics.items() if np.isfinite(v)],
            tags=[RunTag(k, v) for k, v in tags.items()],
        )
        self.client.set_terminated(self.run_id, "FINISHED")

    def fail(self, error: str, trace: str, *, killed: bool = False) -> None:
        """Close the run as FAILED (or KILLED) with its error."""
        self._flush()
        self.client.set_tag(self.run_id, "mcalc.error", error[:5000])
        if trace:
            self.client.log_text(self.run_id, trace, "traceback.txt")
        self.client.set_terminated(self.run_id, "KILLED" if killed else "FAILED")

    def table(self, predictions: Predictions) -> None:
        """The predictions, as MLflow's table (seen in the UI) and as CSV (read by the report)."""
        frame = pd.DataFrame(
            {
                "lesion": predictions.lesions,
                "malignant": predictions.labels,
                "probability": predictions.probabilities,
            }
        )
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
                cv2.imwrite(str(Path(folder) / f"{lesion}.png"), image)
            self.client.log_artifacts(self.run_id, folder, "crops")

    def file(self, path: Path) -> None:
        """A file as it is."""
        self.client.log_artifact(self.run_id, str(path))


_CURVE_COLUMNS = [entry.name for entry in fields(CurvePoint)]


def _origin() -> dict[str, str]:
    return {"mlflow.user": "mcalc", "mlflow.source.name": "mcalc.train"}


def read_trials(directory: Path, sweep: str | None = None) -> list[RecordedTrial]:
    """Finished trials of the newest recorded sweep of that title, or all single trials for None.

    Of several finished runs of one name, the newest counts. In the order in which they began.
    Raises UserError when there is no such record.
    """
    if not (directory / "mlflow.db").is_file():
        raise UserError(
            f"nothing is recorded in {directory}: run `make tables`, or "
            "`python -m mcalc.train -m sweep=alexnet,googlenet`, first"
        )
    client = MlflowClient(tracking_uri=database_uri(directory))
    experiments = [found.experiment_id for found in client.search_experiments()]

    def search(query: str) -> list[Run]:
        return list(
            client.search_runs(
                experiments, query, max_results=5000, order_by=["attributes.start_time DESC"]
            )
        )

    if sweep is None:
        runs = [
            run
            for run in search("tags.`mcalc.kind` = 'trial' and attributes.status = 'FINISHED'")
            if _PARENT not in run.data.tags
        ]
    else:
        title = sweep.replace("'", "")
        parents = search(f"tags.`mcalc.kind` = 'sweep' and tags.`mcalc.sweep` = '{title}'")
        parents += search(f"tags.`mcalc.kind` = 'sweep' and tags.`mcalc.sweep_id` = '{title}'")
        runs = []
        for parent in parents:
            runs = search(
                f"tags.`{_PARENT}` = '{parent.info.run_id}' and attributes.status = 'FINISHED'"
            )
            if runs:
                break
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(str(run.info.run_name), run)
    return [_read_trial(client, run) for run in reversed(newest.values())]


def _read_trial(client: MlflowClient, run: Run) -> RecordedTrial:
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    table = _read_csv(folder / "predictions.csv")
    tags = dict(run.data.tags)
    return RecordedTrial(
        run_id=run.info.run_id,
        name=str(run.info.run_name),
        sweep=tags.get("mcalc.sweep_id"),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=tags,
        predictions=Predictions(
            lesions=tuple(row["lesion"] for row in table),
            labels=np.array([int(row["malignant"]) for row in table], dtype=np.int64),
            probabilities=np.array([float(row["probability"]) for row in table]),
        ),
        curve=tuple(_point(row) for row in _read_csv(folder / "curve.csv")),
        warnings=tuple(json.loads(tags.get("mcalc.warnings", "[]"))),
        crops={file.stem: str(file) for file in sorted((folder / "crops").glob("*.png"))},
    )


def _read_csv(path: Path) -> list[dict[str, str]]:
    # not pandas, whose parser of numbers may be off in the last bit
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _point(row: Mapping[str, str]) -> CurvePoint:
    values = {name: float(text) for name, text in row.items() if name != "iteration"}
    return CurvePoint(iteration=int(row["iteration"]), **values)
