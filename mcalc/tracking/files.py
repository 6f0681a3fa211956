"""The files of a run, read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mcalc.csv_cells import unprotected
from mcalc.results import CurvePoint, Evidence, Predictions

CURVE_FILE = "curve.csv"
PREDICTIONS_FILE = "predictions.csv"
VALIDATION_FILE = "validation.csv"
"""As predictions.csv, of the units that stopped training, where they are not those reported."""
SAMPLES_FILE = "samples.csv"
SPLIT_FILE = "split.csv"
"""Which subset each sample belongs to (`mcalc.data.splits.split_file`)."""
BASELINES_FILE = "baselines.json"
"""What is scored without looking at an image, of a sweep's trial."""
NETWORK_FILE = "network.pth"
NETWORK_GONE_FILE = "network-removed.txt"
"""Why a run has no network (`tracking.keep_models=best`), or has it no longer."""
CROPS = "crops"
"""Folder of small PNGs of lesions, as the network saw them."""
MASKS = "masks"
"""Folder of their outlines: white on the lesion, prepared as the crop is."""


def read_curve(folder: Path) -> tuple[CurvePoint, ...]:
    """The curve in a folder of a run's files; empty where there is none."""
    if not (folder / CURVE_FILE).is_file():
        return ()
    return tuple(_point(row) for row in read_csv(folder / CURVE_FILE))


def read_predictions(folder: Path) -> Predictions:
    """The predictions in a folder of a run's files. Raises OSError where there are none."""
    return _predictions(folder / PREDICTIONS_FILE)


def read_validation(folder: Path) -> Predictions | None:
    """The predictions of what stopped training; None where that was reported, or not recorded."""
    file = folder / VALIDATION_FILE
    return _predictions(file) if file.is_file() else None


def read_evidence(folder: Path) -> tuple[Evidence, ...]:
    """What is known of each lesion; empty for a record that is older than that."""
    file = folder / SAMPLES_FILE
    if not file.is_file():
        return ()
    return tuple(Evidence(row["subset"], row["unit"], row) for row in read_csv(file))


def read_trained_on(folder: Path) -> dict[str, str]:
    """Sample -> patient of what was trained on; empty for a record that is older than that."""
    file = folder / SPLIT_FILE
    if not file.is_file():
        return {}
    return {row["sample"]: row["patient"] for row in read_csv(file) if row["side"] == "train"}


def read_baselines(folder: Path) -> dict[str, float]:
    """The baselines in a folder of a run's files; empty where they are among its metrics."""
    try:
        return baselines_in((folder / BASELINES_FILE).read_bytes())
    except OSError:
        return {}


def baselines_in(text: str | bytes) -> dict[str, float]:
    """The baselines in the text of their file or tag; empty where it cannot be read."""
    try:
        return {str(name): float(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def _predictions(file: Path) -> Predictions:
    table = read_csv(file)
    # columns that earlier versions did not write
    odds = [row.get("log_odds", "") for row in table]
    patients = tuple(row.get("patient", "") for row in table)
    return Predictions(
        ids=tuple(row["lesion"] for row in table),
        labels=np.array([int(row["malignant"]) for row in table], dtype=np.int64),
        probabilities=np.array([float(row["probability"]) for row in table]),
        patients=patients if all(patients) else (),
        logits=np.array([[float(each)] for each in odds]) if odds and all(odds) else None,
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a table, as text."""
    # not pandas, whose parser of numbers may be off in the last bit
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [{name: unprotected(cell or "") for name, cell in row.items()} for row in rows]


def _point(row: Mapping[str, str]) -> CurvePoint:
    # nan is written as an empty field
    values = {n: float(text) if text else np.nan for n, text in row.items() if n != "iteration"}
    return CurvePoint(iteration=int(row["iteration"]), **values)
