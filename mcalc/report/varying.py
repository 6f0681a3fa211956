"""Any sweep as a table: its configurations, of their settings only those that vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcalc.config import entries, is_numeric, short_name
from mcalc.report.accuracy import Accuracy
from mcalc.report.cautions import units_of
from mcalc.report.choosing import ranks_of
from mcalc.report.configurations import REPEATED, configurations
from mcalc.report.formats import (
    NOT_RUN,
    Column,
    Table,
    interval_cell,
    number_cell,
    numbers,
    rounded_name,
    sd_cell,
)
from mcalc.report.recorded import reported_auc
from mcalc.report.rows import Row
from mcalc.results import RecordedTrial

_LONGEST = 34
"""Characters up to which a name of settings is read; its settings have columns of their own."""
_SAME = ("name", "metrics")
"""Parameters of a record that are no setting of a configuration."""


@dataclass(frozen=True, slots=True)
class Varied:
    """A configuration of a sweep with its scores."""

    name: str
    """As short as tells it from the others."""
    row: Row
    """Its trials; without a row of the paper."""
    settings: tuple[str, ...]
    """Values of the settings that vary, in their order; `NOT_RUN` where one has none."""
    score: Accuracy
    rank: int | None
    """By validation AUC, 1 the first; None where nothing was kept apart to rank by."""

    @property
    def trials(self) -> tuple[RecordedTrial, ...]:
        """At least one."""
        return self.row.trials

    @property
    def areas(self) -> list[float]:
        """AUC of each trial."""
        return [reported_auc(trial) for trial in self.trials]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Finished trials of one sweep by configuration."""

    settings: tuple[str, ...]
    """The settings that vary; of several that vary together the one that names of trials have."""
    rows: tuple[Varied, ...]

    @property
    def repeated(self) -> bool:
        """Whether any configuration has several seeds or folds."""
        return any(len(row.trials) > 1 for row in self.rows)


def varying(trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    """Settings that change numbers and differ among trials, without seeds and folds.

    Those that names of trials have, and of the others those that do not follow from them or from
    one another, as a network's weights follow from the network.
    """
    known = entries()
    keys = dict.fromkeys(key for trial in trials for key in trial.params)
    able = [
        key
        for key in keys
        if key not in REPEATED and key not in _SAME and key in known and is_numeric(key)
    ]
    varied = [key for key in able if len({trial.params.get(key, "") for trial in trials}) > 1]
    named = [key for key in varied if any(_names(trial.name, key) for trial in trials)]
    kept = [*named]
    for key in varied:
        if key not in named and not _follows(trials, named, kept, key):
            kept.append(key)
    return tuple(key for key in varied if key in kept)


def _follows(
    trials: Sequence[RecordedTrial], named: Sequence[str], kept: Sequence[str], key: str
) -> bool:
    """Whether other settings determine the value of a further one.

    The settings in the trials' names do so together. A search numbers its trials, so that names
    hold no settings. There one kept setting may do so, if its values repeat: a drawn number differs
    in every trial, and would seem to determine everything.
    """
    if named and _determine(trials, named, key):
        return True
    again = [one for one in kept if len(_values(trials, [one])) < len(trials)]
    return any(_determine(trials, [one], key) for one in again)


def _determine(trials: Sequence[RecordedTrial], keys: Sequence[str], key: str) -> bool:
    return len(_values(trials, keys)) == len(_values(trials, [*keys, key]))


def _values(trials: Sequence[RecordedTrial], keys: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(trial.params.get(key, "") for key in keys) for trial in trials}


def _names(name: str, key: str) -> bool:
    """Whether a trial's name has a setting; `backbone=alexnet` is that of `backbone.name`."""
    parts = [part.split("=")[0].strip() for part in name.split(",") if "=" in part]
    return key in parts or key.removesuffix(".name") in parts


def sweep_of(trials: Sequence[RecordedTrial]) -> Sweep:
    """The configurations of trials in order of appearance, with their scores."""
    settings = varying(trials)
    ranks = ranks_of(trials)
    # by what was not reported, where that ranks them; else as recorded
    whole = sorted(
        configurations(trials), key=lambda each: ranks.get(each.trials[0].run_id, len(trials))
    )
    names = _short([each.name for each in whole])
    rows = []
    for each, name in zip(whole, names, strict=True):
        first, row = each.trials[0], Row(name, None, each.trials)
        rows.append(
            Varied(
                name,
                row,
                tuple(value_cell(first, key) for key in settings),
                Accuracy.of(row),
                ranks.get(first.run_id),
            )
        )
    return Sweep(settings, tuple(rows))


def value_cell(trial: RecordedTrial, key: str) -> str:
    """The cell of a setting; `NOT_RUN` where a record lacks it."""
    if key not in trial.params:
        return NOT_RUN
    value = trial.param(key)
    if isinstance(value, float):
        return f"{value:.4g}"  # drawn values have sixteen digits
    return "none" if value is None else str(value)


def _short(names: Sequence[str]) -> list[str]:
    """Names without the sections of their settings; numbers where they would still be long."""
    cut = [short_name(rounded_name(name)) for name in names]
    if max(map(len, cut), default=0) > _LONGEST and all("=" in name for name in names):
        return [f"#{place}" for place in range(1, len(names) + 1)]
    return cut if len(set(cut)) == len(set(names)) else list(names)


def sweep_table(sweep: Sweep, title: str) -> Table:
    """A row a configuration: scores with their intervals or SDs, and the settings that vary."""
    trials = [trial for row in sweep.rows for trial in row.trials]
    ranked = any(row.rank is not None for row in sweep.rows)
    columns = [
        Column("name", "Name", text=True),
        *numbers(accuracy="Accuracy", accuracy_interval="95%" if not sweep.repeated else "95%/SD"),
        *numbers(auc="AUC", auc_interval="95%" if not sweep.repeated else "95%/SD"),
    ]
    columns += numbers(rank="Val. rank") if ranked else []
    columns += numbers(runs="Runs") if sweep.repeated else []
    columns += [
        Column(key, key, text=not _is_number(sweep, place))
        for place, key in enumerate(sweep.settings)
    ]
    columns += numbers(csv_only=True, accuracy_low="from", accuracy_high="to", accuracy_sd="SD")
    columns += numbers(csv_only=True, auc_low="AUC from", auc_high="AUC to", auc_sd="AUC SD")
    columns += [Column(key, key, text=True, csv_only=True) for key in ("trials", "run_ids")]
    rows = []
    for row in sweep.rows:
        cells = [row.name, *score_cells(row)]
        cells += [NOT_RUN if row.rank is None else str(row.rank)] if ranked else []
        cells += [str(len(row.trials))] if sweep.repeated else []
        cells += row.settings
        one = row.score
        further = (one.low, one.high, one.sd, one.auc_low, one.auc_high, one.auc_sd)
        cells += [number_cell(value, 6) for value in further]
        names = "; ".join(trial.name for trial in row.trials)
        rows.append((*cells, names, " ".join(trial.run_id for trial in row.trials)))
    return Table(title, tuple(columns), tuple(rows), tuple(_notes(sweep, trials)))


def score_cells(row: Varied) -> tuple[str, ...]:
    """Accuracy and AUC, each with its interval, or its SD where there are several runs."""
    one = row.score
    area = sd_cell(row.areas) if len(row.trials) > 1 else interval_cell(one.auc_low, one.auc_high)
    return number_cell(one.accuracy, 4), one.spread, number_cell(one.auc, 3), area


def _is_number(sweep: Sweep, place: int) -> bool:
    values = {row.settings[place] for row in sweep.rows} - {NOT_RUN, "none"}
    try:
        [float(value) for value in values]
    except ValueError:
        return False
    return bool(values)


def _notes(sweep: Sweep, trials: Sequence[RecordedTrial]) -> list[str]:
    notes = [f"Scored: {units_of(trials)} that are reported. Accuracy at a probability of 0.5."]
    if sweep.repeated:
        notes.append(
            "A row of several runs (seeds or folds) has their mean and the SD between them, others "
            "a 95 % interval."
        )
    if any(row.rank is not None for row in sweep.rows):
        notes.append("Val. rank: by AUC on what stopped training, of which nothing is reported.")
    # not of a search, whose trials have these names
    if any(row.name.startswith("#") and "#" not in row.trials[0].name for row in sweep.rows):
        notes.append("Rows are numbered; the CSV file has the names of their trials.")
    if not sweep.settings and len(sweep.rows) > 1:
        notes.append("No recorded setting that changes numbers differs between these rows.")
    return notes
