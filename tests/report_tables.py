"""Recorded trials and cells of a report's tables, for tests (found by pytest's `pythonpath`)."""

from __future__ import annotations

from dataclasses import replace

from mcalc.report.formats import Table
from mcalc.results import Artifacts, Predictions, RecordedTrial


def column(table: Table, key: str) -> tuple[str, ...]:
    """The cells of one column."""
    index = [column.key for column in table.columns].index(key)
    return tuple(row[index] for row in table.rows)


def with_predictions(trial: RecordedTrial, predictions: Predictions) -> RecordedTrial:
    """A copy of a trial with other predictions."""
    return replace(trial, artifacts=Artifacts(predictions, trial.curve, trial.crops))
