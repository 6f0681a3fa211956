"""Pictures of a trial that need its files or its validation: classified crops, reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mcalc.evaluation import (
    crops_figure,
    odds_of,
    reliability_figure,
    temperature,
)
from mcalc.report.formats import counted
from mcalc.report.pictures import Picture, PictureStore
from mcalc.results import RecordedTrial

_CROPS = 12


def anchor_of(trial: RecordedTrial) -> str:
    """The id of a trial's part of a page: `trial-1a2b3c4d`."""
    return f"trial-{trial.run_id[:8]}"


def picture_name(trial: RecordedTrial, what: str) -> str:
    """The name of a trial's picture in a store: `1a2b3c4d-curve`."""
    return f"{trial.run_id[:8]}-{what}"


def shown_crops(trial: RecordedTrial, limit: int = _CROPS) -> list[int]:
    """Places in the predictions whose crops are shown.

    Evenly spaced over the lesions that have a kept crop, in the split's order: neither chosen by
    hand nor by how well they were classified, and the same for every trial of one split.
    """
    return spread(
        [index for index, name in enumerate(trial.predictions.ids) if name in trial.crops], limit
    )


def spread(places: Sequence[int], limit: int) -> list[int]:
    """At most `limit` of the places, evenly spaced: not chosen by what they show."""
    if len(places) <= limit:
        return list(places)
    return [places[index * len(places) // limit] for index in range(limit)]


def crops_picture(
    trial: RecordedTrial, label: str, store: PictureStore, unreadable: list[str]
) -> Picture:
    """Kept crops with what the network said of them; none where none was kept.

    Names of crops that cannot be read are added to `unreadable`.
    """
    predictions = trial.predictions
    images: dict[int, npt.NDArray[np.uint8]] = {}
    for index in shown_crops(trial):
        name = predictions.ids[index]
        image = read_picture(trial.crops[name])
        if image is None:
            unreadable.append(f"{label} {name}")
        else:
            images[index] = image
    if not images:
        return Picture("", "no crop was kept with this trial")
    read = list(images)
    labels, probabilities = predictions.labels[read], predictions.probabilities[read]
    right = int(((probabilities > 0.5) == labels).sum())
    title = f"{label}: classified crops"
    sheet = crops_figure([*images.values()], labels.tolist(), probabilities.tolist(), title)
    shows = f"{counted(len(images), 'crop')} classified by {label}, {right} of them rightly."
    return store.photo(sheet, picture_name(trial, "crops"), shows)


def reliability_picture(trial: RecordedTrial, store: PictureStore) -> Picture:
    """Of a trial that `can_choose`: as stated, and after temperature scaling."""
    assert trial.validation is not None  # `can_choose`
    said = trial.predictions
    probabilities = {"as stated": said.probabilities}
    by = temperature(trial.validation.labels, odds_of(trial.validation))
    if not math.isnan(by):
        probabilities[f"temperature {by:.2f}"] = expit(odds_of(said) / by)
    figure = reliability_figure(
        said.labels, probabilities, said.patients or None, f"{trial.name}: reliability"
    )
    shows = f"Reliability diagram of {trial.name}: share malignant against probability stated."
    return store.drawing(figure, picture_name(trial, "reliability"), shows)


def unreadable_caution(names: Sequence[str]) -> list[str]:
    """The caution that kept crops could not be read; none where all could."""
    if not names:
        return []
    named = f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    are = "is" if len(names) == 1 else "are"
    lost = counted(len(names), "kept crop")
    return [f"{lost} could not be read and {are} not shown: {named}."]


def read_picture(path: str) -> npt.NDArray[np.uint8] | None:
    """(H, W) grey levels 0..255, or None where the file is missing or no image."""
    file = Path(path)
    data = np.frombuffer(file.read_bytes() if file.is_file() else b"", dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    return None if image is None else np.asarray(image, dtype=np.uint8)
