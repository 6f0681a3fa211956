"""What came out of a sweep, as a table for the terminal and for MLflow's and Optuna's pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from mcalc.config import PlannedTrial, short_keys, short_name
from mcalc.results import VALIDATION_AUC
from mcalc.sweep.planning import Plan, format_value
from mcalc.sweep.store import METRIC_NAMES, SweepStudy, result

_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
NONE = "—"
_UNLIMITED = 10_000
"""Characters: how wide a table would be in a console of any width."""
_MOST_LENGTH = 6000
"""Characters of a table for MLflow, which takes 8000."""


@dataclass(frozen=True)
class Row:
    """A trial with its figures; nan where it has none."""

    name: str
    settings: Mapping[str, str]
    """What sets it apart."""
    state: str
    accuracy: float
    low: float
    high: float
    auc: float
    validation_auc: float
    value: float | None
    """The study's own."""

    @property
    def accuracy_text(self) -> str:
        """`0.667 [0.300, 0.903]`."""
        if math.isnan(self.accuracy):
            return NONE
        interval = "" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.accuracy:.3f}{interval}"


@dataclass(frozen=True)
class Results:
    """The trials of a sweep in an order, and which order that is."""

    rows: Sequence[Row]
    order: str
    keys: Sequence[str]
    """Settings that set trials apart and that their names do not say."""


def results_of(plan: Plan, study: SweepStudy) -> Results:
    """The trials that a study holds now: in the plan's order; of a search the best first.

    Never by the reported score, by which no trial should be chosen.
    """
    attempts = study.current()
    rows = [_row(attempt, explicit=study.definition is None) for attempt in attempts]
    if plan.search:
        sign = -1 if study.study.direction.name == "MAXIMIZE" else 1
        rows.sort(key=lambda row: math.inf if row.value is None else sign * row.value)
        order = f"the best {METRIC_NAMES[plan.search.objective]} first"
    else:
        place = {trial.name: number for number, trial in enumerate(plan.trials)}
        rows.sort(key=lambda row: place.get(row.name, len(place)))
        order = "in the plan's order"
    return Results(rows, order, varied_keys([(row.name, row.settings) for row in rows]))


def varied_keys(trials: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Settings that set trials apart, less those that all of their names say."""
    keys = list(dict.fromkeys(key for _, settings in trials for key in settings))
    return [
        key
        for key in keys
        if not all(f"{key}=" in name for name, _ in trials)
        and len({str(settings.get(key)) for _, settings in trials}) > 1
    ]


def settings_of(trial: PlannedTrial) -> dict[str, str]:
    """What sets a planned trial apart, as text."""
    return {key: format_value(value) for key, value in trial.values.items()}


def results_table(results: Results, console: Console, title: str) -> Table:
    """The table, with a column for each setting where the console is wide enough.

    Where no word of it must be broken, settings share a column. Else they stand below the trial's
    name, and intervals below their accuracy. Names are folded and never cut, as trials often differ
    at their ends alone.
    """
    room = console.options.update(max_width=_UNLIMITED)
    wide = _table(results, title, apart=True)
    if Measurement.get(console, room, wide).maximum <= console.width:
        return wide
    narrower = _table(results, title, apart=False)
    if Measurement.get(console, room, narrower).minimum <= console.width:
        return narrower
    return _narrow_table(results, title)


def _table(results: Results, title: str, *, apart: bool) -> Table:
    rows, keys = results.rows, results.keys
    short = short_keys(keys)
    table = _empty_table(title)
    for key in keys if apart else ():
        table.add_column(short[key].replace("_", "_\n"), justify="right", vertical="bottom")
    if keys and not apart:
        table.add_column("settings", overflow="fold")
    states = any(row.state != "finished" for row in rows)
    validated = _validated(results)
    if states:
        table.add_column("state")
    # min_width: what is not wrapped is as wide as it is, for `results_table` to measure
    accuracy, area = "accuracy [95 %]", "valid. AUC"
    longest = max(len(text) for text in (accuracy, *(row.accuracy_text for row in rows)))
    table.add_column(accuracy, no_wrap=True, min_width=longest)
    table.add_column("AUC", justify="right", no_wrap=True)
    if validated:
        table.add_column(area, justify="right", no_wrap=True, min_width=len(area))
    for row in rows:
        given = [row.settings.get(key, NONE) for key in keys]
        if not apart and keys:
            given = [_settings_text(row, short)]
        cells = [short_name(row.name), *given]
        cells += [row.state] if states else []
        cells += [row.accuracy_text, _text(row.auc)]
        table.add_row(*cells, *([_text(row.validation_auc)] if validated else []))
    return table


def _narrow_table(results: Results, title: str) -> Table:
    short = short_keys(results.keys)
    table = _empty_table(title)
    table.padding = (0, 0)
    table.add_column("accuracy\n[95 %]", no_wrap=True)
    table.add_column("AUC", justify="right", no_wrap=True)
    validated = _validated(results)
    if validated:
        table.add_column("valid.\nAUC", justify="right", no_wrap=True)
    for row in results.rows:
        state = row.state if row.state != "finished" else ""
        name = [short_name(row.name), _settings_text(row, short), state]
        cells = [
            "\n".join(filter(None, name)),
            row.accuracy_text.replace(" [", "\n["),
            _text(row.auc),
        ]
        table.add_row(*cells, *([_text(row.validation_auc)] if validated else []))
    return table


def _empty_table(title: str) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1))
    table.add_column("trial", overflow="fold")
    return table


def _validated(results: Results) -> bool:
    return any(not math.isnan(row.validation_auc) for row in results.rows)


def _settings_text(row: Row, short: Mapping[str, str]) -> str:
    """`lr 0.001, batch_size 32`. `short`: every key with its name."""
    return ", ".join(f"{name} {row.settings[k]}" for k, name in short.items() if k in row.settings)


def as_markdown(results: Results) -> str:
    """The table in Markdown, as many rows as MLflow takes."""
    short = short_keys(results.keys)
    validated = _validated(results)
    head = ["trial", *(short[key] for key in results.keys), "state", "accuracy [95 %]", "AUC"]
    head += ["validation AUC"] if validated else []
    lines = [_line(head), _line(["---"] * len(head))]
    length = sum(map(len, lines))
    for number, row in enumerate(results.rows):
        cells = [row.name, *(row.settings.get(key, NONE) for key in results.keys), row.state]
        cells += [row.accuracy_text, _text(row.auc)]
        line = _line([*cells, *([_text(row.validation_auc)] if validated else [])])
        length += len(line) + 1
        if length > _MOST_LENGTH:
            lines.append(f"\n… and {len(results.rows) - number} more.")
            break
        lines.append(line)
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _row(attempt: FrozenTrial, *, explicit: bool) -> Row:
    facts, known = attempt.user_attrs, result(attempt)
    values: Mapping[str, Any] = facts.get("identity", {}).get("values", {})
    # of an explicit trial the value is the accuracy, which earlier versions kept nowhere else
    accuracy = facts.get("accuracy", attempt.value if explicit else None)
    return Row(
        name=str(facts.get("name", f"#{attempt.number}")),
        settings={key: _short_number(value) for key, value in values.items()},
        state=_STATES.get(attempt.state, ""),
        accuracy=math.nan if accuracy is None else float(accuracy),
        low=known.get("accuracy_low", math.nan),
        high=known.get("accuracy_high", math.nan),
        auc=known.get("auc", math.nan),
        validation_auc=known.get(VALIDATION_AUC, math.nan),
        value=attempt.value if attempt.state is TrialState.COMPLETE else None,
    )


def _short_number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else format_value(value)


def _text(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.3f}"
