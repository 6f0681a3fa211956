"""A small record: one trial with a curve, predictions, a picture and a crop."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from mcalc.results import CurvePoint, Predictions
from mcalc.tracking.tracker import Tracker

CURVE = (
    CurvePoint(1, 0.1, 0.7, 0.5, 1 / 3, 0.5, 0.1 + 0.2),
    CurvePoint(50, 5.0, 0.5, 0.7, 0.6123456789012345, 0.625, 0.75),
)
PREDICTIONS = Predictions(
    ("lesion 1", "lesion 2", "lesion 3"),
    np.array([0, 1, 1]),
    np.array([0.1 + 0.2, 1 / 3, 0.999999999999]),
)


def record(tracker: Tracker, name: str, key: str, parent: str | None = None) -> str:
    trial = tracker.open_trial(name, key, {"head.weight_lr": 10.0}, {"mcalc.device": "CPU"}, parent)
    for point in CURVE:
        trial.point(point)
    trial.table(PREDICTIONS)
    trial.curve(CURVE)
    trial.figure(Figure(), "curve.png")
    trial.crops({"lesion 2": np.full((8, 8), 7, np.uint8)})
    trial.finish({"accuracy": 2 / 3, "auc": float("nan")}, {"mcalc.warnings": '["synthetic"]'})
    return trial.run_id
