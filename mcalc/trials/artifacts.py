"""What is kept of a finished trial: its figures, tables and pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from mcalc.config import Config
from mcalc.data import PreparedData
from mcalc.errors import without_password
from mcalc.evaluation import (
    Confusion,
    all_scores,
    confusion_figure,
    crops_figure,
    curve_figure,
    majority_rate,
)
from mcalc.results import Predictions, TrialResult
from mcalc.secret_text import hidden
from mcalc.tracking import SAMPLES_FILE, VALIDATION_FILE, RunWriter
from mcalc.trials.evidence import LOGITS_FILE, logits_csv, samples_csv

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
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    # other settings may name addresses too
    return hidden(text, *secrets_of(config))


def secrets_of(config: Config) -> tuple[str, ...]:
    """The addresses of a config whose secrets no error may repeat in a record."""
    return tuple(address for address in (config.storage, config.tracking.uri) if address)


def final_metrics(
    result: TrialResult, prepared: PreparedData, further: Sequence[str] = ()
) -> dict[str, float]:
    """Scores of the reported network by scoring unit, and the baselines without an image.

    `further`: names of metrics from installed packages. Raises UserError as `all_scores`.
    """
    predictions = prepared.score(result.predictions)
    labels, probabilities = predictions.labels, predictions.probabilities
    confusion = Confusion.of(predictions)
    return {
        "n": confusion.total,
        **{name: getattr(confusion, name) for name in ("tn", "fn", "tp", "fp")},
        **all_scores(labels, probabilities, predictions.patients, further),
        "majority_rate": majority_rate(labels),
        **baselines_of(prepared),
        "iterations": result.iterations,
        "reported_iteration": result.reported_iteration,
        "seconds": result.seconds,
    }


@lru_cache(maxsize=1)
def baselines_of(prepared: PreparedData) -> Mapping[str, float]:
    """Scores without an image, fitted once for all trials on one prepared data set."""
    # late: scikit-learn, which training does not need
    from mcalc.evaluation import split_baselines

    return split_baselines(
        prepared.prepared.lesions,
        prepared.prepared.native_sizes,
        [prepared.samples[i] for i in prepared.split.train],
        [prepared.samples[i] for i in prepared.split.reported],
        prepared.unit_score,
    )


def write_artifacts(
    writer: RunWriter, result: TrialResult, prepared: PreparedData, *, figures: bool = True
) -> None:
    """Predictions by unit, logits by sample, curve, crops and their outlines.

    With `figures` also pictures of them for MLflow's page.
    The report draws its own.
    """
    predictions = prepared.score(result.predictions)
    writer.table(predictions)
    if result.validation is not None:
        writer.predictions_of(prepared.score(result.validation), VALIDATION_FILE)
    writer.text(samples_csv(prepared), SAMPLES_FILE)
    writer.text(logits_csv(result), LOGITS_FILE)
    writer.curve(result.curve)
    pictures = pictures_of(prepared)
    shown = sheet_of(predictions, pictures)
    images = [prepared.prepared.images[pictures[predictions.ids[i]]] for i in shown]
    writer.crops({predictions.ids[i]: image for i, image in zip(shown, images, strict=True)})
    places = tuple((predictions.ids[i], pictures[predictions.ids[i]]) for i in shown)
    writer.masks(outlines_of(prepared, places))
    if not figures:
        return
    stop = result.iterations if result.stop_reason == "patience" else None
    writer.figure(curve_figure(result.curve, result.name, stop), "curve.png")
    confusion = Confusion.of(predictions)
    writer.figure(confusion_figure(confusion, result.name), "confusion.png")
    labels, probabilities = predictions.labels[shown], predictions.probabilities[shown]
    sheet = crops_figure(images, labels.tolist(), probabilities.tolist(), result.name)
    writer.figure(sheet, "crops.png")


def pictures_of(prepared: PreparedData) -> dict[str, int]:
    """Of each reported unit the position of its first image; of offline copies none."""
    pictures: dict[str, int] = {}
    for i in prepared.split.reported:
        sample = prepared.samples[i]
        if not sample.copy:
            pictures.setdefault(sample.unit, sample.image)
    return pictures


@lru_cache(maxsize=1)
def outlines_of(
    prepared: PreparedData, places: tuple[tuple[str, int], ...]
) -> Mapping[str, npt.NDArray[np.uint8]]:
    """The outlines that are known of units, read once for all trials on one prepared data set.

    `places`: a unit and the position of its image.
    """
    # late: trials that are resumed to their end need no image library
    from mcalc.data.images import prepared_outline

    if prepared.settings is None:
        return {}
    settings = prepared.settings
    shown_by = dict(zip(prepared.prepared.positions, prepared.prepared.lesions, strict=True))
    size = prepared.prepared.images.shape[1]
    found = {unit: prepared_outline(shown_by[image], size, settings) for unit, image in places}
    return {unit: outline for unit, outline in found.items() if outline is not None}


def sheet_of(predictions: Predictions, among: Collection[str]) -> list[int]:
    """Positions of the scoring units to show: the same for every trial, independent of its results.

    By hash of the unit's name, half malignant and half benign, of those in `among`.
    """
    chosen: list[int] = []
    for label in (0, 1):
        of_class = [int(i) for i in np.flatnonzero(predictions.labels == label)]
        members = [i for i in of_class if predictions.ids[i] in among]
        members.sort(key=lambda i: hashlib.sha256(predictions.ids[i].encode()).hexdigest())
        chosen += members[: SHEET // 2]
    return chosen
