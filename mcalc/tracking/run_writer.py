"""One trial's run in MLflow, written while it is open."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from mcalc.results import CurvePoint, Predictions

BATCH = 900
"""Metrics that are written in a call: MLflow takes at most 1000."""
PARAMS = 100
"""Parameters that MLflow takes in a call."""
STATE_TAG = "mcalc.state"
"""Set where MLflow's own states do not say enough: it has none for a pruned run."""
_FLUSH_SECONDS = 2.0


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
        self._pending += entries(values, point.iteration)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        for start in range(0, len(self._pending), BATCH):
            self.client.log_batch(self.run_id, metrics=self._pending[start : start + BATCH])
        self._pending = []
        self._flushed = time.monotonic()

    def finish(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write the final metrics, but for those that are nan or infinite, and close the run."""
        self._close(metrics, {**tags, STATE_TAG: "finished"}, "FINISHED")

    def _close(self, metrics: Mapping[str, float], tags: Mapping[str, str], status: str) -> None:
        self._flush()
        written = [RunTag(k, v) for k, v in tags.items()]
        self.client.log_batch(self.run_id, metrics=entries(metrics), tags=written)
        self.client.set_terminated(self.run_id, status)

    def fail(self, error: str, trace: str, *, killed: bool = False) -> None:
        """Close the run as FAILED (or KILLED) with its error."""
        self._flush()
        self.client.set_tag(self.run_id, "mcalc.error", error[:5000])
        self.client.set_tag(self.run_id, STATE_TAG, "interrupted" if killed else "failed")
        if trace:
            self.client.log_text(self.run_id, trace, "traceback.txt")
        self.client.set_terminated(self.run_id, "KILLED" if killed else "FAILED")

    def prune(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Close the run of a trial that the pruner ended."""
        self._close(metrics, {**tags, STATE_TAG: "pruned"}, "KILLED")

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


def entries(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    """MLflow's entries of the values that are finite."""
    now = int(time.time() * 1000)
    return [Metric(k, float(v), now, step) for k, v in values.items() if np.isfinite(v)]
