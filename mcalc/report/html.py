"""The report as one HTML page that needs no other file: tables, figures, and what to beware of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from scipy.special import expit

from mcalc.data.sources.cbis_ddsm import Case
from mcalc.evaluation import (
    Confusion,
    confusion_figure,
    crops_figure,
    curve_figure,
    curves_figure,
    odds_of,
    reliability_figure,
    temperature,
)
from mcalc.paper import DIFFERENCES, NETWORK_TITLES, NETWORKS
from mcalc.report.audit import audit
from mcalc.report.cautions import cautions, provenance
from mcalc.report.choosing import can_choose
from mcalc.report.formats import Table
from mcalc.report.networks import which_were_run
from mcalc.report.paper_tables import SETTINGS
from mcalc.report.pictures import Picture, drawing, photo
from mcalc.report.rows import Record, Row, single_rows, trials_of
from mcalc.report.used import assumed
from mcalc.results import RecordedTrial

_CROPS = 12


@dataclass(frozen=True, slots=True)
class _Pictures:
    """A row of Table 3 or 4."""

    name: str
    settings: tuple[str, ...]
    """`stopping.patience 15`, ..."""
    curve: Picture
    crops: Picture
    confusion: Picture


def page(
    tables: Mapping[int, Table],
    further: Mapping[str, Table],
    record: Record,
    progress: Callable[[int, int], None] | None = None,
    cases: Sequence[Case] | None = None,
) -> str:
    """The whole page.

    Args:
        tables: tables of `mcalc.report.paper_tables.build` by number, shown in that order.
        further: other tables by their name, shown after them.
        record: network -> recorded trials, whose figures are drawn.
        progress: called with (done, total) after each trial's figures are drawn (a second each).
        cases: rows of the four case CSVs, for the audit of the paper; None leaves out what needs
            them.

    Returns:
        HTML with every figure inside; every text of the record is escaped. A crop that is kept
        but cannot be read is named among the cautions.
    """
    trials = trials_of(record)
    unreadable: list[str] = []
    galleries, drawn = [], 0
    for number, network in zip((3, 4), NETWORKS, strict=True):
        rows = []
        for row in single_rows(network, record.get(network, ())):
            rows.append(_pictures(row, unreadable))
            drawn += row.trial is not None
            if row.trial is not None and progress is not None:
                progress(drawn, len(trials))
        galleries.append({"number": number, "title": NETWORK_TITLES[network], "rows": rows})
    beware = list(cautions(trials))
    if unreadable:
        beware.append(
            f"{len(unreadable)} kept crops could not be read and are not shown: "
            f"{', '.join(unreadable[:5])}{' …' if len(unreadable) > 5 else ''}."
        )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("mcalc.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        cautions=beware,
        provenance=provenance(trials),
        tables={number: table.for_people() for number, table in tables.items()},
        further={name: table.for_people() for name, table in further.items()},
        curves=_score_figures(record),
        galleries=galleries,
        audit={name: table.for_people() for name, table in audit(cases).items()},
        assumptions=assumed(trials),
        networks=[each for name in NETWORKS for each in which_were_run(name, record.get(name, ()))],
        differences=DIFFERENCES,
    )


def _score_figures(record: Record) -> list[Picture]:
    """ROC and precision-recall curves of each network's trials; reliability where it is fitted."""
    pictures = []
    for network in NETWORKS:
        trials = [t for t in record.get(network, ()) if len(np.unique(t.predictions.labels)) == 2]
        if not trials:
            continue
        title = NETWORK_TITLES[network]
        scorers = {
            trial.name: (trial.predictions.labels, odds_of(trial.predictions)) for trial in trials
        }
        shows = f"ROC and precision-recall curves of {len(trials)} trials of {title}."
        figure = curves_figure(scorers, f"{title}: ROC and precision-recall curves")
        pictures.append(drawing(figure, shows))
        pictures += [_reliability(trial) for trial in trials if can_choose(trial)]
    return pictures


def _reliability(trial: RecordedTrial) -> Picture:
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
    return drawing(figure, shows)


def shown_crops(trial: RecordedTrial, limit: int = _CROPS) -> list[int]:
    """Places in the predictions whose crops are shown.

    Evenly spaced over the lesions that have a kept crop, in the split's order: neither chosen by
    hand nor by how well they were classified, and the same for every trial of one split.
    """
    kept = [index for index, name in enumerate(trial.predictions.ids) if name in trial.crops]
    if len(kept) <= limit:
        return kept
    return [kept[index * len(kept) // limit] for index in range(limit)]


def _pictures(row: Row, unreadable: list[str]) -> _Pictures:
    if row.trial is None:
        nothing = Picture("", "not run")
        planned = row.paper.settings if row.paper else {}
        settings = tuple(f"{key} {value}" for key, value in planned.items())
        return _Pictures(row.label, settings, nothing, nothing, nothing)
    trial = row.trial
    return _Pictures(
        name=row.label,
        settings=tuple(f"{key} {trial.param(key)}" for key in SETTINGS if key in trial.params),
        curve=_curve(trial, row.label),
        crops=_crops(trial, row.label, unreadable),
        confusion=_confusion(trial, row.label),
    )


def _curve(trial: RecordedTrial, label: str) -> Picture:
    stopped = None  # a run to its limit of length has no stopping point to mark
    if trial.tags.get("mcalc.stop_reason") == "patience" and "iterations" in trial.metrics:
        stopped = int(trial.metrics["iterations"])
    figure = curve_figure(trial.curve, f"{label}: training", stopped)
    shows = f"Training of {label}: no validation evaluation was made."
    if trial.curve:
        last = trial.curve[-1]
        shows = (
            f"Training of {label} over {last.iteration} iterations; at the last evaluation "
            f"validation accuracy {last.val_accuracy:.3f} and loss {last.val_loss:.3f}."
        )
    return drawing(figure, shows)


def _confusion(trial: RecordedTrial, label: str) -> Picture:
    counts = Confusion.of(trial.predictions)
    shows = (
        f"Confusion matrix of {label}: {counts.tn} true negatives, {counts.fn} false negatives, "
        f"{counts.tp} true positives, {counts.fp} false positives."
    )
    return drawing(confusion_figure(counts, f"{label}: confusion matrix"), shows)


def _crops(trial: RecordedTrial, label: str, unreadable: list[str]) -> Picture:
    predictions = trial.predictions
    images: dict[int, npt.NDArray[np.uint8]] = {}
    for index in shown_crops(trial):
        name = predictions.ids[index]
        image = _read_crop(Path(trial.crops[name]))
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
    shows = f"{len(images)} crops classified by {label}, {right} of them rightly."
    return photo(sheet, shows)


def _read_crop(path: Path) -> npt.NDArray[np.uint8] | None:
    """(H, W) grey levels 0..255, or None where the file is missing or no image."""
    if not path.is_file():
        return None
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    return None if image is None else np.asarray(image, dtype=np.uint8)
