"""What is kept of a finished trial: its figures, tables and pictures."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from mcalc.baselines import size_only
from mcalc.config import Config
from mcalc.data.ready import ReadyData
from mcalc.figures import confusion_figure, crops_figure, curve_figure
from mcalc.metrics import Confusion, auc, auc_interval, log_loss, majority_rate, wilson_interval
from mcalc.results import Predictions, TrialResult
from mcalc.tracking import TrialRecord

SHEET = 12
"""Crops on a sheet of classified mammograms, half of them malignant where there are enough."""


def json_tag(value: Any) -> str:
    """A value as the JSON text of an MLflow tag."""
    return json.dumps(value, ensure_ascii=False)


def config_yaml(config: Config) -> str:
    """The resolved config as YAML; enums as their values."""
    plain = json.loads(json.dumps(asdict(config)))
    del plain["job"]
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def final_metrics(result: TrialResult, ready: ReadyData) -> dict[str, float]:
    """Scores of the reported network with 95 % intervals, beside what needs no network."""
    labels, probabilities = result.predictions.labels, result.predictions.probabilities
    confusion = Confusion.from_predictions(labels, probabilities)
    accuracy = wilson_interval(confusion.correct, confusion.total)
    area = auc_interval(labels, probabilities)
    sizes = ready.prepared.native_sizes
    train = [ready.samples[i] for i in ready.split.train]
    reported = [ready.samples[i] for i in ready.split.reported]
    size = size_only(
        sizes[[sample.image for sample in train]],
        [sample.label for sample in train],
        sizes[[sample.image for sample in reported]],
        [sample.label for sample in reported],
    )
    return {
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
        "size_auc": size.auc,
        "size_auc_low": size.auc_interval[0],
        "size_auc_high": size.auc_interval[1],
        "iterations": result.iterations,
        "reported_iteration": result.reported_iteration,
        "seconds": result.seconds,
    }


def write_artifacts(
    record: TrialRecord, result: TrialResult, ready: ReadyData, weights: Mapping[str, Tensor] | None
) -> None:
    """Predictions, curve, confusion matrix, classified crops, and the network where asked for."""
    predictions = result.predictions
    record.table(predictions)
    record.curve(result.curve)
    stop = result.iterations if result.stop_reason == "patience" else None
    record.figure(curve_figure(result.curve, result.name, stop), "curve.png")
    confusion = Confusion.from_predictions(predictions.labels, predictions.probabilities)
    record.figure(confusion_figure(confusion, result.name), "confusion.png")
    shown = sheet_of(predictions)
    images = [ready.prepared.images[ready.samples[ready.split.reported[i]].image] for i in shown]
    record.crops({predictions.lesions[i]: image for i, image in zip(shown, images, strict=True)})
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


def sheet_of(predictions: Predictions, count: int = SHEET) -> list[int]:
    """Positions of the lesions to show: the same for every trial, whatever its results.

    By hash of the lesion's name, half malignant and half benign.
    """
    chosen: list[int] = []
    for label in (0, 1):
        members = [i for i, truth in enumerate(predictions.labels) if truth == label]
        members.sort(key=lambda i: hashlib.sha256(predictions.lesions[i].encode()).hexdigest())
        chosen += members[: count // 2]
    return chosen
