"""Tables 1, 2, 5 and 6 of the paper, filled from recorded trials beside the published values.

Every number of ours is computed here from the recorded predictions with `evaluation.metrics`; the
floats recorded with a run are not used. So all tables and figures of a report agree with one
another and with the code that is installed, whatever version wrote the record, and a record that
contradicts itself is found (`mcalc.report.cautions`) and not passed on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean
from typing import Any

from mcalc.evaluation import (
    METRICS,
    Confusion,
    Metric,
    auc,
    auc_interval,
    find_metric,
    wilson_interval,
)
from mcalc.paper import NETWORK_TITLES, NETWORKS, PAPER_TRIALS, PaperTrial
from mcalc.plugins import installed
from mcalc.report.cautions import cautions, names, provenance
from mcalc.report.formats import NOT_RUN, Column, Table, number_cell, numbers
from mcalc.results import RecordedTrial

TABLES = (1, 2, 5, 6)
"""Numbers of the tables built here; 3 and 4 are figures."""

Record = Mapping[str, Sequence[RecordedTrial]]
"""Network (`alexnet`, `googlenet`) -> its recorded trials; a network may be absent."""

SETTINGS = ("stopping.patience", "head.weight_lr", "head.bias_lr", "head.weight_l2")
"""Configuration keys of the parameters in Tables 1 and 2, in their order."""

_RATES = tuple(find_metric(n) for n in ("recall", "precision", "specificity", "f_measure"))
"""Metrics of Table 6, which the paper prints."""
_OTHER_TABLES = ("accuracy", "auc", *(metric.name for metric in _RATES))
"""Metrics that a table of the paper shows."""

_Cells = tuple[list[str], RecordedTrial | None]
"""A row's cells, and the trial that they are of."""

_NAME = Column("name", "Name", text=True)
_CSV_ONLY = tuple(
    Column(key, key, text=True, csv_only=True)
    for key in ("run_id", "protocol", "leak", "weights", "data", "fingerprint", "warnings")
)


@dataclass(frozen=True, slots=True)
class Row:
    """A trial of the paper, ours, or both side by side."""

    label: str
    """`AL1`; with the seed where one name was recorded more than once."""
    paper: PaperTrial | None
    """None for a recorded trial that the paper does not have."""
    trial: RecordedTrial | None
    """None for a trial of the paper that has not been run."""


def match(network: str, trials: Sequence[RecordedTrial]) -> list[Row]:
    """The paper's rows in order, each with what is recorded of it, then all other trials."""
    times = Counter(trial.name for trial in trials)

    def label(trial: RecordedTrial) -> str:
        if times[trial.name] == 1:
            return trial.name
        return f"{trial.name} (seed {trial.params.get('seed', '?')})"

    rows: list[Row] = []
    for published in PAPER_TRIALS[network]:
        own = [trial for trial in trials if trial.name == published.name]
        recorded = [Row(label(trial), published, trial) for trial in own]
        rows += recorded or [Row(published.name, published, None)]
    known = {published.name for published in PAPER_TRIALS[network]}
    rows += [Row(label(trial), None, trial) for trial in trials if trial.name not in known]
    return rows


def build(number: int, record: Record) -> Table:
    """One table of the paper.

    Args:
        number: an entry of `TABLES`.
        record: what has been run. A row that has not is shown with dashes, never omitted.

    Raises:
        ValueError: another number.
    """
    if number in (1, 2):
        return _accuracy_table(number, NETWORKS[number - 1], record)
    if number == 5:
        return _counts_table(record)
    if number == 6:
        return _rates_table(record)
    raise ValueError(f"table {number}: expected one of {TABLES}")


def _accuracy_table(number: int, network: str, record: Record) -> Table:
    trials = record.get(network, ())
    rows = match(network, trials)
    columns = (
        _NAME,
        *numbers(patience="Patience", weight_lr="Weight LR", bias_lr="Bias LR"),
        *numbers(weight_l2="Weight L2"),
        *numbers(accuracy="Accuracy", accuracy_low="95% from", accuracy_high="95% to"),
        *numbers(accuracy_paper="Paper", accuracy_paper_low="Paper from"),
        *numbers(accuracy_paper_high="Paper to", accuracy_difference="Difference", auc="AUC"),
        *numbers(csv_only=True, auc_low="AUC from", auc_high="AUC to", n="n"),
    )
    return _table(
        f"Table {number}. Fine-tuned {NETWORK_TITLES[network]}: parameters and accuracy on the "
        "reported set, ours and the paper's",
        columns,
        [(_accuracy_cells(row), row.trial) for row in rows],
        (*_completeness(network, trials), _means(network, trials), *_departures(rows)),
        trials,
    )


def _accuracy_cells(row: Row) -> list[str]:
    paper, published = [NOT_RUN] * 3, math.nan
    if row.paper is not None:
        published = float(row.paper.accuracy)
        paper = [str(row.paper.accuracy), *_interval(row.paper.confusion)]
    ours, area, n, difference = [NOT_RUN] * 3, [NOT_RUN] * 3, NOT_RUN, NOT_RUN
    if row.trial is not None:
        counts = Confusion.of(row.trial.predictions)
        ours = [number_cell(counts.accuracy, 4), *_interval(counts)]
        scored = row.trial.predictions.labels, row.trial.predictions.probabilities
        area = [number_cell(value, 3) for value in (auc(*scored), *auc_interval(*scored))]
        n = str(counts.total)
        difference = _signed(counts.accuracy - published)
    return [row.label, *_settings(row), *ours, *paper, difference, *area, n]


def _interval(counts: Confusion) -> list[str]:
    """Cells of the bounds of an accuracy."""
    return [number_cell(end, 3) for end in wilson_interval(counts.correct, counts.total)]


def _counts_table(record: Record) -> Table:
    columns = (
        _NAME,
        Column("source", "Source", text=True),
        *numbers(n="n", tn="TN", fn="FN", tp="TP", fp="FP"),
        *numbers(tn_share="TN/n", fn_share="FN/n", tp_share="TP/n", fp_share="FP/n"),
        *numbers(accuracy="Accuracy"),
    )
    rows: list[_Cells] = []
    for row in _all_rows(record):
        ours = paper = [NOT_RUN] * 10
        if row.trial is not None:
            counts = Confusion.of(row.trial.predictions)
            ours = _counts(counts, number_cell(counts.accuracy, 4))
        if row.paper is not None:
            paper = _counts(row.paper.confusion, str(row.paper.table5_accuracy))
        rows += [([row.label, "ours", *ours], row.trial), ([row.label, "paper", *paper], None)]
    return _table(
        "Table 5. True and false negatives and positives (positive = malignant), as counts and as "
        "shares of n, and accuracy",
        columns,
        rows,
        _notes_of_both(record),
        trials_of(record),
    )


def _rates_table(record: Record) -> Table:
    columns = [_NAME]
    for metric in _RATES:
        for column, heading in (("", ""), ("_paper", " paper"), ("_difference", " diff.")):
            columns.append(Column(f"{metric.name}{column}", f"{metric.heading}{heading}"))
    rows: list[_Cells] = []
    for row in _all_rows(record):
        cells = [row.label]
        for metric in _RATES:
            ours = _score(row.trial, metric)
            printed: Decimal | None = getattr(row.paper, metric.name) if row.paper else None
            published = math.nan if printed is None else float(printed)
            text = NOT_RUN if printed is None else str(printed)
            cells += [number_cell(ours, 4), text, _signed(ours - published)]
        rows.append((cells, row.trial))
    dash = (
        "A dash in the row of a trial that was run means 0/0: precision where nothing was called "
        "malignant, for example."
    )
    return _table(
        "Table 6. Recall, precision (Prec.), specificity (Spec.) and F-measure (F), ours, the "
        "paper's and the difference",
        columns,
        rows,
        (*_notes_of_both(record), dash),
        trials_of(record),
    )


def further_scores(record: Record) -> Table | None:
    """Scores that no table of the paper has: metrics added to `METRICS`, and those of packages.

    None where there is none to show. For a package that is no longer installed, the recorded values
    are shown.
    """
    trials = trials_of(record)
    metrics = {m.name: m for m in METRICS if m.shown and m.name not in _OTHER_TABLES}
    gone: set[str] = set()
    for name in dict.fromkeys(name for trial in trials for name in trial.further_metrics):
        if name in installed("metrics"):
            metrics[name] = find_metric(name)
        else:
            gone.add(name)
            metrics[name] = Metric(name, name, lambda *_: math.nan)
    if not metrics or not trials:
        return None
    rows: list[_Cells] = []
    for trial in trials:
        values = (
            trial.metrics.get(name, math.nan) if name in gone else _score(trial, metric)
            for name, metric in metrics.items()
        )
        rows.append(([trial.name, *(number_cell(value, 4) for value in values)], trial))
    note = "as recorded with the trial; its package is not installed here."
    return _table(
        "Further scores of the reported set, computed from the recorded predictions",
        [_NAME, *(Column(name, metric.heading) for name, metric in metrics.items())],
        rows,
        [f"{name}: {note}" for name in sorted(gone)],
        (),
    )


def _score(trial: RecordedTrial | None, metric: Metric) -> float:
    """A metric of a trial's predictions; nan where the trial has not been run."""
    if trial is None:
        return math.nan
    return float(metric.compute(trial.predictions.labels, trial.predictions.probabilities))


def trials_of(record: Record) -> list[RecordedTrial]:
    """Every recorded trial, network by network."""
    return [trial for network in NETWORKS for trial in record.get(network, ())]


def _all_rows(record: Record) -> list[Row]:
    return [row for network in NETWORKS for row in match(network, record.get(network, ()))]


def _notes_of_both(record: Record) -> tuple[str, ...]:
    found: list[str] = []
    for network in NETWORKS:
        trials = record.get(network, ())
        found += [*_completeness(network, trials), *_departures(match(network, trials))]
    return tuple(found)


def _completeness(network: str, trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    recorded = {trial.name for trial in trials}
    missing = [row.name for row in PAPER_TRIALS[network] if row.name not in recorded]
    if not missing:
        return ()
    total = len(PAPER_TRIALS[network])
    return (
        f"{NETWORK_TITLES[network]}: {len(missing)} of {total} trials not run ({NOT_RUN}): "
        f"{', '.join(missing)}; python -m mcalc.train -m sweep={network} runs them.",
    )


def _means(network: str, trials: Sequence[RecordedTrial]) -> str:
    published = [float(row.accuracy) for row in PAPER_TRIALS[network]]
    whole = f"all {len(published)} rows of the paper {fmean(published):.4f}"
    both = [(row.trial, row.paper) for row in match(network, trials) if row.trial and row.paper]
    if not both:
        return f"Mean accuracy: {whole}."
    own = fmean(Confusion.of(trial.predictions).accuracy for trial, _ in both)
    paper = fmean(float(printed.accuracy) for _, printed in both)
    return (
        f"Mean accuracy over the {len(both)} rows run: ours {own:.4f}, the paper's {paper:.4f}; "
        f"{whole}."
    )


def _departures(rows: Sequence[Row]) -> tuple[str, ...]:
    """Trials that carry a row's name without its parameters or its network."""
    found: list[str] = []
    for row in rows:
        if row.paper is None or row.trial is None:
            continue
        expected: dict[str, object] = {"backbone.name": row.paper.network, **row.paper.settings}
        different = [
            f"{key}={row.trial.params.get(key, 'not recorded')} (paper: {value})"
            for key, value in expected.items()
            if row.trial.param(key) != value
        ]
        if different:
            found.append(f"{row.label} is not the paper's row: {', '.join(different)}.")
    others = [row.trial for row in rows if row.paper is None and row.trial is not None]
    if others:
        found.append(f"Not in the paper: {names(others, others)}.")
    return tuple(found)


def _settings(row: Row) -> list[str]:
    values: dict[str, Any] = dict(row.paper.settings) if row.paper else {}
    if row.trial is not None:
        values = {key: row.trial.param(key) for key in SETTINGS if key in row.trial.params}
    # Inf is MATLAB's name for a patience without end
    cells = {key: "Inf" if value is None else str(value) for key, value in values.items()}
    return [cells.get(key, NOT_RUN) for key in SETTINGS]


def _counts(counts: Confusion, accuracy: str) -> list[str]:
    each = (counts.tn, counts.fn, counts.tp, counts.fp)
    shares = [number_cell(count / counts.total, 3) for count in each]
    return [str(counts.total), *map(str, each), *shares, accuracy]


def _table(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[_Cells],
    notes: Sequence[str],
    trials: Sequence[RecordedTrial],
) -> Table:
    """A table with the columns that only the CSV has, and how its trials' numbers were made."""
    whole = tuple((*cells, *_extra(trial)) for cells, trial in rows)
    made = (*cautions(trials), *provenance(trials))
    return Table(title, (*columns, *_CSV_ONLY), whole, tuple(notes), made)


def _extra(trial: RecordedTrial | None) -> tuple[str, ...]:
    """Cells of the columns that only the CSV has."""
    if trial is None:
        return (NOT_RUN,) * len(_CSV_ONLY)
    shown = ("protocol", "leak", "weights", "data", "fingerprint")
    tags = (trial.tags.get(f"mcalc.{name}", NOT_RUN) for name in shown)
    return (trial.run_id, *tags, "; ".join(trial.warnings))


def _signed(value: float) -> str:
    if math.isnan(value):
        return NOT_RUN
    text = f"{value:+.4f}"
    return "0.0000" if text in ("+0.0000", "-0.0000") else text
