"""One trial's run in MLflow, written while it is open."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from mcalc.csv_cells import csv_text
from mcalc.results import ASKED_AGAIN_TAG, ERROR_TAG, RECORDED_AS_TAG, CurvePoint, Predictions
from mcalc.tracking import manifest
from mcalc.tracking.files import BASELINES_FILE, CROPS, MASKS, PREDICTIONS_FILE
from mcalc.tracking.manifest import MANIFEST_TAG, Manifest, digest
from mcalc.tracking.names import (
    BASELINES_TAG,
    CURVE,
    CURVE_COLUMNS,
    NOT_DRAWN,
    PARENT_TAG,
    in_section,
    is_baseline,
    of_an_end,
)
from mcalc.tracking.run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH = 900
"""Metrics that are written in a call: MLflow takes at most 1000."""
PARAMS = 100
"""Parameters that MLflow takes in a call."""
STATE_TAG = "mcalc.state"
"""Set where MLflow's own states do not say enough: it has none for a pruned run."""
STATUS = {"finished": "FINISHED", "pruned": "KILLED"}
"""What MLflow says of a closed run, by its state."""
_TABLES_TAG = "mlflow.loggedArtifacts"
"""MLflow's list of the files that its UI shows as tables (`MlflowClient.log_table` sets it too)."""
_IMAGES_TAG = "mlflow.loggedImages"
"""By which MLflow's page knows that a run has pictures."""
_SMALL = 256
"""Width and height of a small picture at most, pixels."""
_DIGEST = 36
"""Characters of a data set's digest that MLflow takes."""
_FLUSH_SECONDS = 2.0
_FIRST = ("val_auc", "val_accuracy")
"""What of a curve says how good a network is."""


@dataclass(frozen=True)
class Opening:
    """What a run has from its beginning."""

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]

    def batches(self) -> list[list[Param]]:
        """MLflow's entries of parameters, in batches that it takes."""
        entered = [Param(name, value) for name, value in self.params.items()]
        return [entered[start : start + PARAMS] for start in range(0, len(entered), PARAMS)]


class RunWriter:
    """Writes an open MLflow run of one trial."""

    def __init__(
        self,
        client: MlflowClient,
        run_id: str,
        opening: Opening,
        last_step: int = -1,
        folder: Path | None = None,
    ) -> None:
        """`last_step`: the last iteration of the curve that the run has already.

        `folder`: that of its files, where they lie on this machine beside the database.
        """
        self.client = client
        self.run_id = run_id
        self._opening = opening
        self._last_step = last_step
        self._pending: list[Metric] = []
        self._flushed = time.monotonic()
        self._files = RunFiles(client, run_id, folder)
        self._tags: dict[str, str] = {}
        """Written when the run is closed: each call of MLflow's is a commit of its own."""

    def point(self, point: CurvePoint) -> None:
        """Add an evaluation to the curve; it appears in the UI within seconds.

        One that was written before the run was cut off is not written again.
        """
        if point.iteration <= self._last_step:
            return
        # MLflow's Compare page opens on the metric of a run that was written first
        names = [*_FIRST, *(name for name in CURVE_COLUMNS if name not in (*_FIRST, *NOT_DRAWN))]
        values = {name: getattr(point, name) for name in names}
        self._pending += entries(in_section(CURVE, values), point.iteration)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        for start in range(0, len(self._pending), BATCH):
            self.client.log_batch(self.run_id, metrics=self._pending[start : start + BATCH])
        self._pending = []
        self._flushed = time.monotonic()

    def finish(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
        """Write the final metrics, but for those that are nan or infinite, and close the run.

        Baselines of a sweep's trial become a file, and a tag: as figures they are the sweep's own.
        Returns the digest of its manifest.
        """
        if PARENT_TAG in self._opening.tags:
            baselines = {n: v for n, v in metrics.items() if is_baseline(n) and np.isfinite(v)}
            metrics = {n: v for n, v in metrics.items() if not is_baseline(n)}
            if baselines:
                self.text(json.dumps(baselines, indent=1), BASELINES_FILE)
                tags = {**tags, BASELINES_TAG: json.dumps(baselines)}
        return self._close(metrics, tags, "finished")

    def prune(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
        """Close the run of a trial that the pruner ended; returns the digest of its manifest."""
        return self._close(metrics, tags, "pruned")

    def _close(self, metrics: Mapping[str, float], tags: Mapping[str, str], state: str) -> str:
        last = entries(of_an_end(metrics))
        if len(self._pending) + len(last) > BATCH:
            self._flush()
        opened = {name: text for name, text in self._opening.tags.items() if is_lasting(name)}
        content = Manifest(
            name=self._opening.name,
            state=state,
            params=self._opening.params,
            metrics={name: float(value) for name, value in metrics.items() if np.isfinite(value)},
            tags={**opened, **tags, STATE_TAG: state},
            files=dict(self._files.digests),
        ).as_bytes()
        self._files.put(manifest.FILE, content)
        written = {**self._tags, **tags, STATE_TAG: state, MANIFEST_TAG: digest(content)}
        # the last points of the curve with them: MLflow commits and syncs once for each kind
        self.client.log_batch(
            self.run_id,
            metrics=[*self._pending, *last],
            tags=[RunTag(name, value) for name, value in written.items()],
        )
        self._pending = []
        self._terminate(STATUS[state])
        return digest(content)

    def copy(self, closed: Manifest, files: Path, curve: Sequence[CurvePoint]) -> None:
        """Write and close this run as another one was closed, with its files."""
        for point in curve:
            self.point(point)
        self._flush()
        self.client.log_artifacts(self.run_id, str(files))
        self.client.log_batch(self.run_id, metrics=entries(of_an_end(closed.metrics)))
        self._terminate(STATUS[closed.state])

    def fail(self, error: str, trace: str, *, killed: bool = False) -> None:
        """Close the run as FAILED (or KILLED) with its error."""
        self._flush()
        for name, text in self._tags.items():
            self.client.set_tag(self.run_id, name, text)
        mark_unfinished(self.client, self.run_id, error, "interrupted" if killed else "failed")
        if trace:
            self.text(trace, "traceback.txt")
        self._terminate("KILLED" if killed else "FAILED")

    def _terminate(self, status: str) -> None:
        self.client.set_terminated(self.run_id, status)
        self._files.remove_staged()

    def table(self, predictions: Predictions) -> None:
        """The predictions, as MLflow's table (seen in the UI) and as CSV (read by the report)."""
        frame = pd.DataFrame({"lesion": predictions.ids, "malignant": predictions.labels})
        frame["probability"] = predictions.probabilities
        # not log_table, which adds to the rows that a run has from before it was cut off
        self.text(frame.to_json(orient="split", index=False), "predictions.json")
        self._tags[_TABLES_TAG] = json.dumps([{"path": "predictions.json", "type": "table"}])
        self.predictions_of(predictions, PREDICTIONS_FILE)

    def predictions_of(self, predictions: Predictions, name: str) -> None:
        """Predictions as CSV, at full precision."""
        columns: dict[str, Iterable[str]] = {
            "lesion": predictions.ids,
            "malignant": map(str, predictions.labels.tolist()),
            "probability": map(repr, predictions.probabilities.tolist()),
        }
        if predictions.patients:
            columns["patient"] = predictions.patients
        if predictions.logits is not None:
            columns["log_odds"] = map(repr, predictions.logits[:, 0].tolist())
        # ids may be names of files, which a spreadsheet would run
        rows = zip(*columns.values(), strict=True)
        self.text("".join(csv_text([list(columns), *rows])), name)

    def curve(self, curve: Sequence[CurvePoint]) -> None:
        """The whole curve as CSV."""
        frame = pd.DataFrame([astuple(point) for point in curve], columns=CURVE_COLUMNS)
        self.text(frame.to_csv(index=False), "curve.csv")

    def tag(self, name: str, value: str) -> None:
        """Set a tag, in place of the one that the run has from its beginning."""
        self.client.set_tag(self.run_id, name, value)
        tags = {**self._opening.tags, name: value}
        self._opening = replace(self._opening, tags=tags)

    def text(self, text: str, name: str) -> None:
        """A text file, in UTF-8."""
        self._files.put(name, text.encode())

    def figure(self, figure: Figure, name: str) -> None:
        """A picture, as PNG."""
        self._files.put(name, _png(figure))

    def picture(self, figure: Figure, name: str) -> None:
        """A picture as PNG, and once more where MLflow's page shows pictures of runs side by side.

        As `MlflowClient.log_image` writes it, which takes three calls for each.
        """
        from PIL import Image  # late: a run is opened long before

        drawn = _png(figure)
        self._files.put(f"{name}.png", drawn)
        number = uuid5(NAMESPACE_OID, f"{self.run_id} {name}")
        place = f"images/{name}+step+0+timestamp+{int(time.time() * 1000)}+{number}"
        self._files.put(f"{place}.png", drawn)
        small = Image.open(BytesIO(drawn)).convert("RGB")
        small.thumbnail((_SMALL, _SMALL))
        compressed = BytesIO()
        small.save(compressed, format="webp")
        self._files.put(f"{place}+compressed.webp", compressed.getvalue())
        self._tags[_IMAGES_TAG] = "True"

    def data_set(self, source: str, fingerprint: str) -> None:
        """What the run was trained on, as `data_set`."""
        self.client.log_inputs(self.run_id, datasets=[data_set(source, fingerprint)])

    def crops(self, crops: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Small PNGs by lesion, for the report's sheets."""
        self._pictures(CROPS, crops)

    def masks(self, masks: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        """Outlines of these lesions, 255 on the lesion, for the report's heat maps."""
        self._pictures(MASKS, masks)

    def _pictures(self, folder: str, images: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        import cv2  # late: a run is opened long before

        for lesion, image in images.items():
            # ids may be paths (data=folder)
            encoded = cv2.imencode(".png", image)[1].tobytes()
            self._files.put(f"{folder}/{quote(lesion, safe='')}.png", encoded)

    def new_file(self, name: str) -> AbstractContextManager[Path]:
        """Where to write a large file; it is one of the run's when the block ends."""
        return self._files.new(name)

    def beside(self, work: Callable[[], None]) -> AbstractContextManager[None]:
        """Let `work` write a large file while the block runs, or before it.

        The file is there when the block ends, which raises what `work` raised.
        """
        return self._files.beside(work)

    def link(self, other: RunWriter, name: str) -> bool:
        """Let a file be the same as another run's, stored once; False where that cannot be."""
        return self._files.link(other._files, name)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def data_set(source: str, fingerprint: str) -> DatasetInput:
    """What MLflow shows as the data of a run; its searches find runs by the digest.

    No path is recorded, which may name a person.
    """
    entry = Dataset(
        name=source,
        digest=fingerprint[:_DIGEST],
        source_type="mcalc",
        source=json.dumps({"data.source": source}),
    )
    return DatasetInput(entry, [InputTag("mlflow.data.context", "training")])


def mark_unfinished(client: MlflowClient, run_id: str, error: str, state: str) -> None:
    """Note why a run ended without a result; `state`: `interrupted` or `failed`."""
    client.set_tag(run_id, ERROR_TAG, error[:5000])
    client.set_tag(run_id, STATE_TAG, state)


def is_lasting(tag: str) -> bool:
    """Whether a tag belongs to a closed run: not to attempts before, nor to MLflow alone.

    A worker that was killed while it closed the run may have left the digest of its own manifest.
    """
    later = (ERROR_TAG, MANIFEST_TAG, ASKED_AGAIN_TAG, RECORDED_AS_TAG)
    return tag.startswith("mcalc.") and tag not in later


def entries(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    """MLflow's entries of the values that are finite."""
    now = int(time.time() * 1000)
    return [Metric(k, float(v), now, step) for k, v in values.items() if np.isfinite(v)]
