"""Where a number comes from: everything that the record has of one trial, as a part of a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from markupsafe import Markup

from mcalc.evaluation import (
    Confusion,
    auc,
    confusion_figure,
    curve_figure,
    majority_rate,
    odds_of,
    roc_figure,
)
from mcalc.paper import PAPER_TRIALS, PaperTrial
from mcalc.report.accuracy import Accuracy
from mcalc.report.choosing import can_choose
from mcalc.report.configurations import base_name
from mcalc.report.footer import settings_of, trial_facts
from mcalc.report.formats import interval_cell, number_cell
from mcalc.report.pictures import Picture, PictureStore
from mcalc.report.recorded import reported_baselines
from mcalc.report.rows import Row
from mcalc.report.template import render
from mcalc.report.trial_pictures import (
    anchor_of,
    crops_picture,
    picture_name,
    reliability_picture,
)
from mcalc.results import RecordedTrial

_MAIN = ("head.", "stopping.", "backbone.name", "trainer.lr", "seed")
"""How the settings begin that stand beside a trial's name."""
_FILES = {
    "predictions of the lesions reported": "predictions.csv",
    "of those that stopped training": "validation.csv",
    "logits": "logits.csv",
    "what is known of each lesion": "samples.csv",
    "curve": "curve.csv",
    "settings": "config.yaml",
    "network": "network.pth",
}


HeatMaker = Callable[[RecordedTrial, str, PictureStore], Markup]
"""Gives the heat maps of a trial, by its label, or the sentence that says why there are none."""


@dataclass(frozen=True, slots=True)
class _Shown:
    picture: Picture
    caption: str = ""
    place: str = ""
    """`half` or `whole` of the page's width; else a third."""


@dataclass(frozen=True, slots=True)
class _Result:
    name: str
    value: str
    more: str = ""


def trial_style() -> Markup:
    """CSS of `trial_section`, for the page's `<style>`."""
    return Markup(files("mcalc.report").joinpath("trial.css").read_text(encoding="utf-8"))


def trial_section(
    trial: RecordedTrial,
    label: str,
    pictures: PictureStore,
    *,
    among: Sequence[RecordedTrial] = (),
    unreadable: list[str] | None = None,
    heat: HeatMaker | None = None,
) -> Markup:
    """`<section class="trial" id="trial-1a2b3c4d">`: all that the record has of a trial.

    Args:
        trial: finished, with its artifacts.
        label: its name on the page.
        pictures: where its pictures go.
        among: trials of the page: those of the same training run have their stopping points on its
            curve.
        unreadable: names of kept crops that cannot be read are added to it.
        heat: makes its heat maps (`mcalc.report.heat.HeatMaps`); None says how to get them.
    """
    lost = [] if unreadable is None else unreadable
    paper = paper_trial(trial)
    shown = [
        _Shown(_curve(trial, label, among, pictures), _curve_caption(trial, label, among), "half"),
        _Shown(
            crops_picture(trial, label, pictures, lost),
            "✓ and a solid frame: called rightly at a probability of 0.5; ✗ and a dashed frame: "
            "wrongly. p: probability of malignant.",
            "half",
        ),
        *_matrices(trial, label, paper, pictures),
        *_roc(trial, label, paper, pictures),
    ]
    if can_choose(trial):
        shown.append(
            _Shown(
                reliability_picture(trial, pictures),
                "On the diagonal, what is stated is what happens. Bars: 95 % intervals.",
            )
        )
    varied = [
        (key, value)
        for key, value in settings_of(trial)
        if key.startswith(_MAIN) and value != "None"
    ]
    # the template escapes every text of the record
    return Markup(
        render(
            "trial.html.j2",
            anchor=anchor_of(trial),
            label=label,
            results=_results(trial, paper),
            varied=varied,
            pictures=shown,
            heat=heat(trial, label, pictures) if heat else None,
            facts=trial_facts(trial),
            run_id=trial.run_id,
            files=_files(trial),
            settings=settings_of(trial),
        )
    )


def paper_trial(trial: RecordedTrial) -> PaperTrial | None:
    """The paper's row of a trial, by its name; None for a trial that the paper has not."""
    name = base_name(trial)
    rows = (row for rows in PAPER_TRIALS.values() for row in rows)
    return next((row for row in rows if row.name == name), None)


def same_run(trial: RecordedTrial, among: Sequence[RecordedTrial]) -> list[RecordedTrial]:
    """Other trials taken from the same training run, which differ in patience alone."""
    run = trial.tags.get("mcalc.trajectory")
    return [
        each
        for each in among
        if run and each.tags.get("mcalc.trajectory") == run and each.run_id != trial.run_id
    ]


def _stop(trial: RecordedTrial) -> int | None:
    """Iteration at which its patience stopped it; None for a run to its limit of length."""
    if trial.tags.get("mcalc.stop_reason") == "patience" and "iterations" in trial.metrics:
        return int(trial.metrics["iterations"])
    return None


def _results(trial: RecordedTrial, paper: PaperTrial | None) -> list[_Result]:
    said = trial.predictions
    one = Accuracy.of(Row("", None, (trial,)))
    area = interval_cell(one.auc_low, one.auc_high)
    found = [
        _Result("Accuracy", number_cell(one.accuracy, 4), f"({one.spread})"),
        _Result("AUC", number_cell(one.auc, 3), f"({area})"),
        _Result("always the commoner class", number_cell(majority_rate(said.labels), 4)),
    ]
    if paper is not None:
        found.append(_Result("the paper's accuracy", str(paper.accuracy)))
    return [*found, _Result("reported", str(said.labels.size))]


def _curve(
    trial: RecordedTrial, label: str, among: Sequence[RecordedTrial], store: PictureStore
) -> Picture:
    if not trial.curve:
        return Picture("", f"Training of {label}: no validation evaluation was made.")
    last = trial.curve[-1]
    others: dict[int, str] = {}
    for each in same_run(trial, among):
        place = _stop(each)
        if place is not None and place <= last.iteration and place != _stop(trial):
            others[place] = f"{others[place]}, {each.name}" if place in others else each.name
    stopper = trial.validation or trial.predictions
    figure = curve_figure(
        trial.curve,
        f"{label}: training",
        _stop(trial),
        majority=majority_rate(stopper.labels),
        others=others,
    )
    shows = (
        f"Training of {label} over {last.iteration} iterations; at the last evaluation validation "
        f"accuracy {last.val_accuracy:.3f} and loss {last.val_loss:.3f}."
    )
    return store.drawing(figure, picture_name(trial, "curve"), shows)


def _curve_caption(trial: RecordedTrial, label: str, among: Sequence[RecordedTrial]) -> str:
    every = sorted([trial, *same_run(trial, among)], key=_iterations)
    stops = [f"{label if each is trial else each.name} {_stopped(each)}" for each in every]
    level = "Dash-dotted: always giving the commoner class of what stops training. "
    if len(stops) == 1:
        return f"{level if trial.curve else ''}Stopped {_stopped(trial)}."
    return f"{level}One training run, from which {len(stops)} trials are taken: {'; '.join(stops)}."


def _iterations(trial: RecordedTrial) -> float:
    return trial.metrics.get("iterations", math.inf)


def _stopped(trial: RecordedTrial) -> str:
    """`at iteration 60 by patience 15`."""
    patience = trial.params.get("stopping.patience", "None")
    by_patience = _stop(trial) is not None
    how = f"by patience {patience}" if by_patience else "at its limit of length"
    unused = "" if by_patience or patience == "None" else f", patience {patience} not used up"
    return f"at iteration {_iterations(trial):.0f} {how}{unused}"


def _matrices(
    trial: RecordedTrial, label: str, paper: PaperTrial | None, store: PictureStore
) -> list[_Shown]:
    counts = Confusion.of(trial.predictions)
    ours = store.drawing(
        confusion_figure(counts, f"{label}: ours"),
        picture_name(trial, "confusion"),
        f"Confusion matrix of {label}: {_counts(counts)}.",
    )
    mark = "✓: right, ✗: wrong. "
    if paper is None:
        return [_Shown(ours, f"{mark}At a probability of 0.5.")]
    theirs = store.drawing(
        confusion_figure(paper.confusion, f"{paper.name}: the paper's"),
        picture_name(trial, "paper-confusion"),
        f"The paper's confusion matrix of {paper.name}: {_counts(paper.confusion)}.",
    )
    return [
        _Shown(ours, f"{mark}At a probability of 0.5, of {counts.total}."),
        _Shown(theirs, f"{mark}Table 5 of the paper, of {paper.confusion.total} images."),
    ]


def _counts(counts: Confusion) -> str:
    return (
        f"{counts.tn} true negatives, {counts.fn} false negatives, {counts.tp} true positives, "
        f"{counts.fp} false positives"
    )


def _roc(
    trial: RecordedTrial, label: str, paper: PaperTrial | None, store: PictureStore
) -> list[_Shown]:
    said = trial.predictions
    if len(np.unique(said.labels)) < 2:
        return []
    area = auc(said.labels, said.probabilities)
    scorers = {f"network, AUC {area:.3f}": (said.labels, odds_of(said))}
    size = reported_baselines(trial).get("size")
    if size is not None:
        scorers[f"crop size, AUC {auc(said.labels, size):.3f}"] = (said.labels, size)
    points = {"at 0.5": _point(Confusion.of(said))}
    if paper is not None:
        points["the paper's"] = _point(paper.confusion)
    picture = store.drawing(
        roc_figure(scorers, points, f"{label}: ROC"),
        picture_name(trial, "roc"),
        f"ROC curve of {label}, AUC {area:.3f}.",
    )
    more = (
        "" if paper is None else " The paper gives one point, from other images; it has no curve."
    )
    return [_Shown(picture, f"Grey: chance.{more}")]


def _point(counts: Confusion) -> tuple[float, float]:
    benign, malignant = counts.tn + counts.fp, counts.tp + counts.fn
    return (
        counts.fp / benign if benign else math.nan,
        counts.tp / malignant if malignant else math.nan,
    )


def _files(trial: RecordedTrial) -> list[tuple[str, str]]:
    """Its files, as paths below the record's folder."""
    there = {
        "validation.csv": trial.validation is not None,
        "samples.csv": bool(trial.evidence),
        "logits.csv": bool(trial.evidence),
        "network.pth": trial.network is not None,
    }
    return [
        (what, f"artifacts/{trial.run_id}/artifacts/{name}")
        for what, name in _FILES.items()
        if there.get(name, True)
    ]
