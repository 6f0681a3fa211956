"""The files of a run, read back."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mcalc.csv_cells import unprotected
from mcalc.results import CurvePoint, Predictions

CURVE_FILE = "curve.csv"


def read_curve(folder: Path) -> tuple[CurvePoint, ...]:
    """The curve in a folder of a run's files; empty where there is none."""
    if not (folder / CURVE_FILE).is_file():
        return ()
    return tuple(_point(row) for row in read_csv(folder / CURVE_FILE))


def read_predictions(folder: Path) -> Predictions:
    """The predictions in a folder of a run's files. Raises OSError where there are none."""
    table = read_csv(folder / "predictions.csv")
    return Predictions(
        ids=tuple(row["lesion"] for row in table),
        labels=np.array([int(row["malignant"]) for row in table], dtype=np.int64),
        probabilities=np.array([float(row["probability"]) for row in table]),
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
