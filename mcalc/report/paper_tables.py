"""Tables 1, 2, 5 and 6 of the paper, filled from recorded trials beside the published values.

Every number of ours is computed here from the recorded predictions with `evaluation.metrics`; the
floats recorded with a run are not used. So all tables and figures of a report agree with one
another and with the code that is installed, whatever version wrote the record, and a record that
contradicts itself is found (`mcalc.report.cautions`) and not passed on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from statistics import fmean
from typing import Any

from mcalc.evaluation import (
    METRICS,
    Confusion,
    Metric,
    find_metric,
    wilson_interval,
)
from mcalc.evaluation.clustered import Interval
from mcalc.paper import NETWORK_TITLES, NETWORKS, PAPER_TRIALS
from mcalc.plugins import installed
from mcalc.report.accuracy import Accuracy
from mcalc.report.case_mix import BENIGN_CLASSES, called_malignant, specificity_among
from mcalc.report.cautions import cautions, names, provenance
from mcalc.report.configurations import base_name
from mcalc.report.formats import (
    NOT_RUN,
    Column,
    Table,
    counted,
    interval_cell,
    mean,
    number_cell,
    numbers,
    sd,
    sd_cell,
)
from mcalc.report.networks import is_the_papers, which_were_run
from mcalc.report.rows import Record, Row, all_rows, match, trials_of
from mcalc.results import RecordedTrial

TABLES = (1, 2, 5, 6)
"""Numbers of the tables built here; 3 and 4 are figures."""

SETTINGS = ("stopping.patience", "head.weight_lr", "head.bias_lr", "head.weight_l2")
"""Configuration keys of the parameters in Tables 1 and 2, in their order."""

_RATES = tuple(find_metric(n) for n in ("recall", "precision", "specificity", "f_measure"))
"""Metrics of Table 6, which the paper prints."""
_OTHER_TABLES = ("accuracy", "auc", *(metric.name for metric in _RATES))
"""Metrics that a table of the paper shows."""

_Cells = tuple[list[str], Sequence[RecordedTrial]]
"""A row's cells, and the trial that they are of."""

_NONE = (math.nan, math.nan)
_WITHIN = (
    "AUC BENIGN and AUC w/o c.: all malignant lesions against the benign ones that were, and were "
    "not, called back. The table of case mix has further parts."
)
_NAME = Column("name", "Name", text=True)
_CSV_ONLY = tuple(
    Column(key, key, text=True, csv_only=True)
    for key in ("run_id", "protocol", "leak", "weights", "data", "fingerprint", "warnings")
)


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
        *numbers(accuracy="Accuracy", accuracy_interval="95%", accuracy_paper="Paper"),
        *numbers(accuracy_difference="Differ- ence", accuracy_difference_interval="95%"),
        *numbers(auc="AUC", auc_benign="AUC BENIGN", auc_without_callback="AUC w/o c."),
        *numbers(csv_only=True, accuracy_low="from", accuracy_high="to", accuracy_sd="SD"),
        *numbers(csv_only=True, accuracy_paper_low="Paper from", accuracy_paper_high="Paper to"),
        *numbers(csv_only=True, accuracy_difference_low="from", accuracy_difference_high="to"),
        *numbers(csv_only=True, auc_low="AUC from", auc_high="AUC to", auc_se="AUC SE"),
        *numbers(csv_only=True, auc_sd="AUC SD", n="n", runs="Runs"),
    )
    return _table(
        f"Table {number}. Fine-tuned {NETWORK_TITLES[network]}: parameters and accuracy on the "
        "reported set, ours and the paper's",
        columns,
        [(_accuracy_cells(row), row.trials) for row in rows],
        (
            *_completeness(network, trials),
            *which_were_run(network, trials),
            _means(network, trials),
            *_repetition(rows),
            *_departures(rows),
        ),
        trials,
    )


def _accuracy_cells(row: Row) -> list[str]:
    paper: list[str] = [NOT_RUN] * 3
    if row.paper is not None:
        counts = row.paper.confusion
        ends = wilson_interval(counts.correct, counts.total)
        paper = [str(row.paper.accuracy), *(number_cell(end, 3) for end in ends)]
    ours = Accuracy.of(row)
    return [
        row.label,
        *_settings(row),
        number_cell(ours.accuracy, 4),
        ours.spread,
        paper[0],
        _signed(ours.difference),
        f"{ours.difference_low:+.2f} to {ours.difference_high:+.2f}"
        if not math.isnan(ours.difference_low)
        else NOT_RUN,
        *(number_cell(value, 3) for value in (ours.auc, *ours.by_class)),
        *(number_cell(value, 6) for value in (ours.low, ours.high, ours.sd)),
        *paper[1:],
        *(number_cell(value, 6) for value in (ours.difference_low, ours.difference_high)),
        *(number_cell(value, 6) for value in (ours.auc_low, ours.auc_high, ours.auc_se)),
        number_cell(ours.auc_sd, 6),
        NOT_RUN if row.trial is None else str(row.trial.predictions.labels.size),
        str(len(row.trials)),
    ]


def _counts_table(record: Record) -> Table:
    columns = (
        _NAME,
        Column("source", "Source", text=True),
        *numbers(n="n", tn="TN", fn="FN", tp="TP", fp="FP", fp_without_callback="FP w/o c."),
        *numbers(tn_share="TN/n", fn_share="FN/n", tp_share="TP/n", fp_share="FP/n"),
        *numbers(accuracy="Accuracy"),
    )
    rows: list[_Cells] = []
    for row in all_rows(record):
        rows.append(([row.label, "ours", *_our_counts(row)], row.trials))
        if row.paper is not None:
            paper = _counts([row.paper.confusion], math.nan, str(row.paper.table5_accuracy))
            rows.append(([row.label, "paper", *paper], ()))
    return _table(
        "Table 5. True and false negatives and positives (positive = malignant), as counts and as "
        "shares of n, and accuracy",
        columns,
        rows,
        (
            *_notes_of_both(record),
            "FP w/o c.: of the false positives those that were benign without a callback.",
        ),
        trials_of(record),
    )


def _our_counts(row: Row) -> list[str]:
    if not row.trials:
        return [NOT_RUN] * 11
    counts = [Confusion.of(trial.predictions) for trial in row.trials]
    easy = fmean(called_malignant(trial, BENIGN_CLASSES[1])[0] for trial in row.trials)
    return _counts(counts, easy, number_cell(fmean(each.accuracy for each in counts), 4))


def _rates_table(record: Record) -> Table:
    columns = [_NAME]
    for metric in _RATES:
        columns += [
            Column(metric.name, metric.heading),
            Column(f"{metric.name}_interval", "95%"),
            Column(f"{metric.name}_paper", f"{metric.heading} paper"),
        ]
    for metric in _RATES:
        columns += [
            Column(f"{metric.name}_{each}", f"{metric.heading} {each}", csv_only=True)
            for each in ("difference", "low", "high", "sd")
        ]
    columns += numbers(csv_only=True, specificity_benign="", specificity_without_callback="")
    rows: list[_Cells] = []
    for row in all_rows(record):
        cells, further = [row.label], []
        for metric in _RATES:
            values = [_score(trial, metric) for trial in row.trials] or [math.nan]
            ours = mean(values)
            several = len(values) > 1
            low, high = _bounds(row.trials[0], metric) if len(row.trials) == 1 else _NONE
            spread = sd_cell(values) if several else interval_cell(low, high)
            printed: Decimal | None = getattr(row.paper, metric.name) if row.paper else None
            published = math.nan if printed is None else float(printed)
            cells += [number_cell(ours, 4), spread, NOT_RUN if printed is None else str(printed)]
            further += [
                _signed(ours - published),
                number_cell(low, 6),
                number_cell(high, 6),
                number_cell(sd(values), 6),
            ]
        further += [
            number_cell(mean(specificity_among(trial, name) for trial in row.trials), 4)
            for name in BENIGN_CLASSES
        ]
        rows.append(([*cells, *further], row.trials))
    dash = (
        "A dash in the row of a trial that was run means 0/0: precision where nothing was called "
        "malignant, for example. The mean and SD of several runs are of those that define it."
    )
    by_class = (
        "Specificity among benign lesions that were, and were not, called back is in the CSV file; "
        "the table of case mix has further parts."
    )
    return _table(
        "Table 6. Recall, precision (Prec.), specificity (Spec.) and F-measure (F), ours with "
        "intervals and the paper's",
        columns,
        rows,
        (*_notes_of_both(record), dash, by_class),
        trials_of(record),
    )


def _bounds(trial: RecordedTrial, metric: Metric) -> Interval:
    said = trial.predictions
    assert metric.interval is not None  # every rate has one
    return metric.interval(said.labels, said.probabilities, said.patients or None)


def further_scores(trials: Sequence[RecordedTrial]) -> Table | None:
    """Scores that no table of the paper has: metrics added to `METRICS`, and those of packages.

    None where there is none to show. For a package that is no longer installed, the recorded values
    are shown.
    """
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
        rows.append(([trial.name, *(number_cell(value, 4) for value in values)], [trial]))
    note = "as recorded with the trial; its package is not installed here."
    return _table(
        "Further scores of the reported set, computed from the recorded predictions",
        [_NAME, *(Column(name, metric.heading) for name, metric in metrics.items())],
        rows,
        [f"{name}: {note}" for name in sorted(gone)],
        (),
    )


def _score(trial: RecordedTrial, metric: Metric) -> float:
    """A metric of a trial's predictions; nan where they do not define it."""
    return float(metric.compute(trial.predictions.labels, trial.predictions.probabilities))


def _notes_of_both(record: Record) -> tuple[str, ...]:
    found: list[str] = []
    for network in NETWORKS:
        trials = record.get(network, ())
        found += [*_completeness(network, trials), *which_were_run(network, trials)]
        found += _departures(match(network, trials))
    return tuple(found)


def _completeness(network: str, trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    recorded = {base_name(trial) for trial in trials}
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
    both = [(row, row.paper) for row in match(network, trials) if row.trials and row.paper]
    if not both:
        return f"Mean accuracy: {whole}."
    own = fmean(Accuracy.of(row).accuracy for row, _ in both)
    paper = fmean(float(printed.accuracy) for _, printed in both)
    return (
        f"Mean accuracy over the {counted(len(both), 'row')} run: ours {own:.4f}, the paper's "
        f"{paper:.4f}; {whole}."
    )


def _repetition(rows: Sequence[Row]) -> tuple[str, ...]:
    if not any(len(row.trials) > 1 for row in rows):
        return (_WITHIN,)
    several = (
        "A row of several runs (seeds or folds) shows their mean, and their SD in place of an "
        "interval; the table of repetitions has their differences."
    )
    return _WITHIN, several


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
            and not (
                key == "backbone.name" and is_the_papers(row.paper.network, row.trial.param(key))
            )
        ]
        if different:
            found.append(f"{row.label} is not the paper's row: {', '.join(different)}.")
    others = [trial for row in rows if row.paper is None for trial in row.trials]
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


def _counts(several: Sequence[Confusion], easy: float, accuracy: str) -> list[str]:
    """Cells of counts, of several their means; `easy`: false positives without callback."""
    digits = 0 if len(several) == 1 else 1
    each = [fmean(getattr(one, name) for one in several) for name in ("tn", "fn", "tp", "fp")]
    total = fmean(one.total for one in several)
    counts = [number_cell(value, digits) for value in (total, *each, easy)]
    return [*counts, *(number_cell(count / total, 3) for count in each), accuracy]


def _table(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[_Cells],
    notes: Sequence[str],
    trials: Sequence[RecordedTrial],
) -> Table:
    """A table with the columns that only the CSV has, and how its trials' numbers were made."""
    whole = tuple((*cells, *_extra(of)) for cells, of in rows)
    made = (*cautions(trials), *provenance(trials))
    return Table(title, (*columns, *_CSV_ONLY), whole, tuple(notes), made)


def _extra(trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    """Cells of the columns that only the CSV has: every run, and what is said of the first."""
    if not trials:
        return (NOT_RUN,) * len(_CSV_ONLY)
    shown = (f"mcalc.{name}" for name in ("protocol", "leak", "weights", "data", "fingerprint"))
    tags = (trials[0].tags.get(name, NOT_RUN) for name in shown)
    return (" ".join(one.run_id for one in trials), *tags, "; ".join(trials[0].warnings))


def _signed(value: float) -> str:
    if math.isnan(value):
        return NOT_RUN
    text = f"{value:+.4f}"
    return "0.0000" if text in ("+0.0000", "-0.0000") else text
