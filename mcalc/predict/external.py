"""What a network reaches on a data set with labels: the figures of the report, on other lesions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcalc.console import stderr
from mcalc.data.splits import score_units
from mcalc.evaluation import METRICS, Choice
from mcalc.predict.images import LabelledImages
from mcalc.predict.network import TrainedNetwork
from mcalc.predict.table import Row
from mcalc.report.case_mix import IN_THE_CSV, LEAST, case_mix_table
from mcalc.report.choosing import calibration_table, choosing_table
from mcalc.report.formats import Column, Table, interval_cell, number_cell, numbers
from mcalc.report.printing import print_table
from mcalc.results import Artifacts, Evidence, Predictions, RecordedTrial
from mcalc.trials.evidence import known_columns


def judged_trial(
    networks: Sequence[TrainedNetwork],
    labelled: LabelledImages,
    rows: Sequence[Row],
    validation: Predictions | None,
) -> RecordedTrial:
    """The networks' answer as a trial that reported these lesions, in the units that they score.

    What fixed its operating point and temperature stays what stopped its training.
    """
    usable = [place for place, row in enumerate(rows) if row.log_odds is not None]
    samples = [labelled.samples[place] for place in usable]
    odds = np.array([rows[place].log_odds for place in usable], dtype=np.float64)
    said = Predictions(
        ids=tuple(sample.id for sample in samples),
        labels=np.array([int(sample.label == 1) for sample in samples], dtype=np.int64),
        probabilities=np.array([rows[place].probability for place in usable], dtype=np.float64),
        patients=tuple(sample.patient for sample in samples),
        logits=odds[:, None],
    )
    scored = score_units(said, samples, networks[0].config.data.unit_score)
    evidence = tuple(
        Evidence("reported", sample.unit, known_columns("reported", sample, lesion, size))
        for sample in samples
        for lesion, size in (
            (labelled.lesions[place], labelled.native_sizes[place]) for place in sample.lesions
        )
    )
    artifacts = Artifacts(scored, validation=validation, evidence=evidence)
    first = networks[0].trial
    name = first.name if len(networks) == 1 else f"{len(networks)} networks"
    return replace(first, name=name, artifacts=artifacts)


def figures(trial: RecordedTrial, choice: Choice) -> list[Table]:
    """The tables of the report that apply to other lesions than those of the record."""
    tables = [
        scores_table(trial),
        choosing_table([trial], choice),
        calibration_table([trial]),
        _case_mix(trial),
    ]
    return [table for table in tables if table is not None]


def _case_mix(trial: RecordedTrial) -> Table | None:
    """As the report's, of which no CSV file is written here; None without a part to show."""
    table = case_mix_table([trial])
    if table is None or len(table.hidden) == len(table.rows):
        return None
    less = f"Parts of fewer than {LEAST} are left out."
    notes = tuple(less if note == IN_THE_CSV else note for note in table.notes)
    return replace(table, notes=notes)


def scores_table(trial: RecordedTrial) -> Table:
    """Every metric of the report on these lesions, with intervals clustered by patient."""
    said = trial.predictions
    rows = []
    for metric in METRICS:
        bounds = "–"
        if metric.interval:
            bounds = interval_cell(
                *metric.interval(said.labels, said.probabilities, said.patients or None)
            )
        value = float(metric.compute(said.labels, said.probabilities))
        rows.append((metric.heading, number_cell(value, 4), bounds))
    malignant = int(said.labels.sum())
    return Table(
        title="Scores on these lesions",
        columns=(Column("score", "Score", text=True), *numbers(value="Value", interval="95%")),
        rows=tuple(rows),
        notes=(
            f"{said.labels.size} scored units, {malignant} of them malignant, of "
            f"{len(set(said.patients))} patients; rates at a probability of 0.5.",
        ),
    )


def print_figures(
    networks: Sequence[TrainedNetwork],
    labelled: LabelledImages,
    rows: Sequence[Row],
    validation: Predictions | None,
    words: Mapping[str, Any],
) -> None:
    """Print the tables to stderr, where the predictions are not."""
    for warning in labelled.warnings:
        stderr.print(f"  warning: {warning}")
    for seen in dict.fromkeys(_trained_on(network, labelled) for network in networks):
        if seen:
            stderr.print(f"  warning: {seen}")
    trial = judged_trial(networks, labelled, rows, validation)
    stderr.print(f"on {labelled.description}: {trial.predictions.labels.size} scored units")
    for table in figures(trial, Choice(words["operating_point"])):
        stderr.print()
        print_table(table, sys.stderr)


def _trained_on(network: TrainedNetwork, labelled: LabelledImages) -> str:
    """That a network was trained on some of these lesions, or on others of their patients."""
    known, patients = network.trained_on, {*network.trained_on.values()}
    if labelled.source != network.config.data.source:
        return ""
    if not known:
        return (
            "the record does not say which lesions were trained on (it is older than that): these "
            f"come from the same kind of data (data={labelled.source}) and may be the same"
        )
    same = sum(sample.id in known for sample in labelled.samples)
    alike = sum(sample.patient in patients for sample in labelled.samples)
    if not alike:
        return ""
    return (
        f"{same} of these {len(labelled.samples)} images were trained on, and {alike} are of "
        "patients who were: the figures below say nothing about other patients"
    )
