"""A page for any sweep: verdict, intervals, what varies, failures, and each trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcalc.evaluation import curves_figure, interval_figure, odds_of
from mcalc.iteration import with_progress
from mcalc.report.cautions import cautions, provenance
from mcalc.report.configurations import block_label
from mcalc.report.failures import failures_table
from mcalc.report.first_screen import Verdict, described, panels
from mcalc.report.footer import page_facts
from mcalc.report.formats import NOT_RUN, Table, counted, rounded_name
from mcalc.report.pictures import Picture, PictureStore
from mcalc.report.recorded_list import Entry
from mcalc.report.settings_views import importance_table, parallel, slices_figure
from mcalc.report.template import render
from mcalc.report.trial_page import HeatMaker, trial_section, trial_style
from mcalc.report.trial_pictures import anchor_of, unreadable_caution
from mcalc.report.varying import Sweep, sweep_table
from mcalc.results import RecordedTrial
from mcalc.tracking import SINGLE_TRIALS

_MOST_CURVES = 12
"""Trials whose ROC curves can be told apart in one figure."""
_MOST_CHOICES = 12
"""Values of a setting up to which the page offers to filter by one."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a trial is shown."""

    address: str
    title: str


@dataclass(frozen=True, slots=True)
class _Filter:
    title: str
    column: int
    values_: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Range:
    title: str
    column: int


def sweep_title(name: str, trials: Sequence[RecordedTrial]) -> str:
    """`Sweep heads: 6 trials`."""
    count = counted(len(trials), "trial")
    return f"{name.capitalize() if name == SINGLE_TRIALS else f'Sweep {name}'}: {count}"


def sweep_page(
    name: str,
    sweep: Sweep,
    said: Verdict,
    trials: Sequence[RecordedTrial],
    unfinished: Sequence[RecordedTrial],
    further: Mapping[str, Table],
    store: PictureStore,
    *,
    trial_address: Callable[[RecordedTrial], str] | None = None,
    recorded: Sequence[Entry] = (),
    home: str = "",
    heat: HeatMaker | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """The page of a sweep; every text of the record is escaped.

    Args:
        name: of the sweep.
        sweep: its configurations with their scores.
        said: what came out.
        trials: finished ones, with artifacts; may be none.
        unfinished: those without a result.
        further: tables by name, shown after that of what varies.
        store: where pictures go.
        trial_address: where each trial has a page of its own; None shows all on this page.
        recorded: all that the record holds, where this page lists it.
        home: address of the page that lists it; empty for that page.
        heat: what computes each trial's heat maps; None leaves them out.
        progress: called with (done, total) after each trial's pictures are drawn.
    """
    table = sweep_table(sweep, "What varies, and what came out").for_people()
    slices = slices_figure(sweep)
    unreadable: list[str] = []
    sections = []
    if trial_address is None:
        for trial in with_progress(trials, len(trials), progress):
            label = rounded_name(trial.name)
            sections.append(
                trial_section(
                    trial,
                    label,
                    store,
                    among=trials,
                    unreadable=unreadable,
                    heat=heat,
                )
            )
    place = trial_address or (lambda trial: f"#{anchor_of(trial)}")
    return render(
        "sweep_page.html.j2",
        title=sweep_title(name, trials),
        verdict=said,
        cautions=[*cautions(trials), *unreadable_caution(unreadable)],
        pictures=_intervals(sweep, store),
        table=table,
        filters=_filters(sweep, table),
        ranges=_ranges(sweep, table),
        links=[[_link(trial, place) for trial in row.trials] for row in sweep.rows],
        names={trial.name: place(trial) for trial in trials},
        parallel=parallel(sweep),
        slices=None
        if slices is None
        else store.drawing(
            slices, "slices", "AUC against each setting that varies, a dot a row of the table."
        ),
        importance=importance_table(sweep),
        failures=failures_table(unfinished, trials),
        further={key: each.for_people() for key, each in further.items()},
        curves=_curves(trials, store),
        provenance=provenance(trials),
        sections=sections,
        recorded=recorded,
        home=home,
        trial_style=trial_style(),
        facts=page_facts(trials) if trials else [],
    )


def _intervals(sweep: Sweep, store: PictureStore) -> list[Picture]:
    if not sweep.rows:
        return []
    found = panels([each.row for each in sweep.rows], [each.score for each in sweep.rows])
    return [
        store.drawing(interval_figure([panel]), f"intervals-{place}", described(panel))
        for place, panel in enumerate(found)
    ]


def _filters(sweep: Sweep, table: Table) -> list[_Filter]:
    """A choice for each setting that has few values."""
    keys = [column.key for column in table.columns]
    found = []
    for place, key in enumerate(sweep.settings):
        values = dict.fromkeys(row.settings[place] for row in sweep.rows)
        if len(values) <= _MOST_CHOICES:
            shown = tuple(value for value in values if value != NOT_RUN)
            found.append(_Filter(key, keys.index(key), shown))
    return found


def _ranges(sweep: Sweep, table: Table) -> list[_Range]:
    """From and to, for each setting that has many values, all numbers."""
    columns = {column.key: place for place, column in enumerate(table.columns)}
    return [
        _Range(key, columns[key])
        for place, key in enumerate(sweep.settings)
        if not table.columns[columns[key]].text
        and len({row.settings[place] for row in sweep.rows}) > _MOST_CHOICES
    ]


def _link(trial: RecordedTrial, place: Callable[[RecordedTrial], str]) -> Link:
    return Link(place(trial), f"{trial.name} ({block_label(trial)})")


def _curves(trials: Sequence[RecordedTrial], store: PictureStore) -> list[Picture]:
    able = [trial for trial in trials if len(np.unique(trial.predictions.labels)) == 2]
    if not able or len(able) > _MOST_CURVES:
        return []
    scorers = {trial.name: (trial.predictions.labels, odds_of(trial.predictions)) for trial in able}
    shows = f"ROC and precision-recall curves of {counted(len(able), 'trial')}."
    return [store.drawing(curves_figure(scorers, "ROC and precision-recall"), "curves", shows)]
