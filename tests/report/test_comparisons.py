"""Differences between scorers: what another's table lacks, and what no test is defined for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from report_tables import column, with_predictions
from sklearn.metrics import roc_auc_score

from mcalc.report.comparisons import comparisons_table
from mcalc.results import Predictions, RecordedTrial


def as_others(run: RecordedTrial, prefix: str) -> RecordedTrial:
    """The trial as if it reported other lesions."""
    said = run.predictions
    return with_predictions(run, replace(said, ids=tuple(f"{prefix}{i}" for i in said.ids)))


def test_another_table_is_compared_with_those_alone_that_report_its_lesions(trial) -> None:
    one, moved = trial("AL1"), as_others(trial("AL2"), "X")
    guesses = np.random.default_rng(0).uniform(size=len(one.predictions.ids))
    theirs = dict(zip(one.predictions.ids, guesses.tolist(), strict=True))
    table = comparisons_table([one, moved], {"theirs.csv": theirs})
    assert table is not None
    assert column(table, "first") == ("AL1",)
    area = roc_auc_score(one.predictions.labels, guesses)
    assert column(table, "second_auc") == (f"{area:.3f}",)
    assert "theirs.csv lacks 56 of 56 reported" in " ".join(table.notes)


def test_pairs_that_no_test_is_defined_for_are_counted_apart(trial) -> None:
    """Two networks on benign and malignant lesions, and two on benign ones alone."""
    generator = np.random.default_rng(1)
    one = trial("AL1")
    guesses = generator.random(one.predictions.labels.size)
    other = with_predictions(trial("AL2"), replace(one.predictions, probabilities=guesses))
    tested = [one, other]
    one_class = [
        with_predictions(
            trial(name),
            Predictions(tuple(f"B{i}" for i in range(9)), np.zeros(9, int), generator.random(9)),
        )
        for name in ("AL3", "AL4")
    ]
    table = comparisons_table([*tested, *one_class])
    assert table is not None
    assert column(table, "first") == ("AL1", "AL3"), "what cannot be tested stands at the end"
    areas = [roc_auc_score(run.predictions.labels, run.predictions.probabilities) for run in tested]
    notes = " ".join(table.notes)
    assert notes.startswith("Of 2 pairs of networks ")
    assert f"the mean difference is {abs(areas[0] - areas[1]):.3f}." in notes
    assert "1 of them cannot be tested: too few patients or a class that is absent." in notes
