"""What is kept of a finished trial: its figures, tables and pictures."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from mcalc.config.schema import Config
from mcalc.data.pipeline import PreparedData
from mcalc.errors import without_password
from mcalc.evaluation.baselines import split_baselines
from mcalc.evaluation.figures import confusion_figure, crops_figure, curve_figure
from mcalc.evaluation.metrics import (
    Confusion,
    auc,
    auc_interval,
    log_loss,
    majority_rate,
    wilson_interval,
)
from mcalc.results import Predictions, TrialResult
from mcalc.tracking.tracker import TrialRecord

SHEET = 12
"""Crops on a sheet of classified mammograms, half of them malignant where there are enough."""


def json_tag(value: Any) -> str:
    """A value as the JSON text of an MLflow tag."""
    return json.dumps(value, ensure_ascii=False)


def config_yaml(config: Config) -> str:
    """The resolved config as YAML; enums as their values, addresses without their passwords."""
    plain = json.loads(json.dumps(asdict(config)))
    del plain["job"]
    for section, key in ((plain, "storage"), (plain["tracking"], "uri")):
        if section[key]:
            section[key] = without_password(section[key])
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def final_metrics(result: TrialResult, ready: PreparedData) -> dict[str, float]:
    """Scores of the reported network by unit, with 95 % intervals, beside what needs no network."""
    predictions = ready.score(result.predictions)
    labels, probabilities = predictions.labels, predictions.probabilities
    confusion = Confusion.from_predictions(labels, probabilities)
    accuracy = wilson_interval(confusion.correct, confusion.total)
    area = auc_interval(labels, probabilities)
    return {
        "n": confusion.total,
        "accuracy": confusion.accuracy,
        "accuracy_low": accuracy[0],
        "accuracy_high": accuracy[1],
        "auc": auc(labels, probabilities),
        "auc_low": area[0],
        "auc_high": area[1],
        "log_loss": log_loss(labels, probabilities),
        "tn": confusion.tn,
        "fn": confusion.fn,
        "tp": confusion.tp,
        "fp": confusion.fp,
        "recall": confusion.recall,
        "precision": confusion.precision,
        "specificity": confusion.specificity,
        "f_measure": confusion.f_measure,
        "majority_rate": majority_rate(labels),
        **baselines_of(ready),
        "iterations": result.iterations,
        "reported_iteration": result.reported_iteration,
        "seconds": result.seconds,
    }


@lru_cache(maxsize=1)
def baselines_of(ready: PreparedData) -> Mapping[str, float]:
    """Scores without an image, fitted once for all trials on one prepared data set."""
    return split_baselines(
        ready.prepared.lesions,
        ready.prepared.native_sizes,
        [ready.samples[i] for i in ready.split.train],
        [ready.samples[i] for i in ready.split.reported],
        ready.unit_score,
    )


def write_artifacts(
    record: TrialRecord,
    result: TrialResult,
    ready: PreparedData,
    weights: Mapping[str, Tensor] | None,
) -> None:
    """Predictions by unit, curve, confusion matrix, classified crops, and the network if given."""
    predictions = ready.score(result.predictions)
    record.table(predictions)
    record.curve(result.curve)
    stop = result.iterations if result.stop_reason == "patience" else None
    record.figure(curve_figure(result.curve, result.name, stop), "curve.png")
    confusion = Confusion.from_predictions(predictions.labels, predictions.probabilities)
    record.figure(confusion_figure(confusion, result.name), "confusion.png")
    pictures = pictures_of(ready)
    shown = sheet_of(predictions, among=pictures)
    images = [ready.prepared.images[pictures[predictions.ids[i]]] for i in shown]
    record.crops({predictions.ids[i]: image for i, image in zip(shown, images, strict=True)})
    sheet = crops_figure(
        images,
        [int(predictions.labels[i]) for i in shown],
        [float(predictions.probabilities[i]) for i in shown],
        result.name,
    )
    record.figure(sheet, "crops.png")
    if weights is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.pth"
            torch.save({name: tensor.cpu() for name, tensor in weights.items()}, path)
            record.file(path)


def pictures_of(ready: PreparedData) -> dict[str, int]:
    """Of each reported unit the position of its first image; of offline copies none."""
    pictures: dict[str, int] = {}
    for i in ready.split.reported:
        sample = ready.samples[i]
        if not sample.copy:
            pictures.setdefault(sample.unit, sample.image)
    return pictures


def sheet_of(
    predictions: Predictions, count: int = SHEET, among: Collection[str] | None = None
) -> list[int]:
    """Positions of the units to show: the same for every trial, whatever its results.

    By hash of the unit's name, half malignant and half benign; of those in `among` where given.
    """
    chosen: list[int] = []
    for label in (0, 1):
        members = [
            i
            for i, truth in enumerate(predictions.labels)
            if truth == label and (among is None or predictions.ids[i] in among)
        ]
        members.sort(key=lambda i: hashlib.sha256(predictions.ids[i].encode()).hexdigest())
        chosen += members[: count // 2]
    return chosen
