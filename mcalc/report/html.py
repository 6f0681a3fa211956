"""The paper's networks as a page: Tables 1 to 6, further tables, figures, what to beware of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcalc.data.sources.cbis_ddsm import Case
from mcalc.evaluation import curves_figure, interval_figure
from mcalc.paper import DIFFERENCES, NETWORK_TITLES, NETWORKS
from mcalc.report.audit import audit
from mcalc.report.cautions import cautions, provenance
from mcalc.report.choosing import can_choose, odds_of
from mcalc.report.first_screen import described, panels, verdict
from mcalc.report.formats import Table
from mcalc.report.networks import which_were_run
from mcalc.report.paper_tables import SETTINGS
from mcalc.report.pictures import InlinePictures, Picture, PictureStore
from mcalc.report.recorded_list import Entry
from mcalc.report.rows import Record, Row, all_rows, match, single_rows, trials_of
from mcalc.report.template import render
from mcalc.report.trial_pictures import (
    anchor_of,
    confusion_picture,
    crops_picture,
    curve_picture,
    reliability_picture,
)
from mcalc.report.used import assumed


@dataclass(frozen=True, slots=True)
class _Pictures:
    """A row of Table 3 or 4."""

    name: str
    anchor: str
    """Of its trial on the page; empty for a row that has not been run."""
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
    store: PictureStore | None = None,
    recorded: Sequence[Entry] = (),
) -> str:
    """The whole page.

    Args:
        tables: tables of `mcalc.report.paper_tables.build` by number, shown in that order.
        further: other tables by their name, shown after them.
        record: network -> recorded trials, whose figures are drawn.
        progress: called with (done, total) after each trial's figures are drawn (a second each).
        cases: rows of the four case CSVs, for the audit of the paper; None leaves out what needs
            them.
        store: where pictures go; None keeps them inside the page.
        recorded: all that the record holds, where it is more than these trials.

    Returns:
        HTML; every text of the record is escaped. A crop that is kept
        but cannot be read is named among the cautions.
    """
    trials = trials_of(record)
    store = store or InlinePictures()
    unreadable: list[str] = []
    galleries, drawn = [], 0
    for number, network in zip((3, 4), NETWORKS, strict=True):
        rows = []
        for row in single_rows(network, record.get(network, ())):
            rows.append(_pictures(row, store, unreadable))
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
    found = verdict(trials)
    return render(
        "page.html.j2",
        verdict=found,
        pictures=_intervals(record, store),
        recorded=recorded,
        links=_links(record),
        cautions=beware,
        provenance=provenance(trials),
        tables={number: table.for_people() for number, table in tables.items()},
        further={name: table.for_people() for name, table in further.items()},
        curves=_score_figures(record, store),
        galleries=galleries,
        audit={name: table.for_people() for name, table in audit(cases).items()},
        assumptions=assumed(trials),
        networks=[each for name in NETWORKS for each in which_were_run(name, record.get(name, ()))],
        differences=DIFFERENCES,
    )


def _intervals(record: Record, store: PictureStore) -> list[Picture]:
    """AUC and accuracy of all rows that were run, with the paper's; none where none was."""
    rows = [row for row in all_rows(record) if row.trials]
    return [
        store.drawing(interval_figure([panel]), f"intervals-{place}", described(panel))
        for place, panel in enumerate(panels(rows) if rows else ())
    ]


def _links(record: Record) -> dict[str, str]:
    """Name in a first column -> where the page shows its trial; of several runs the first."""
    found: dict[str, str] = {}
    for network in NETWORKS:
        trials = record.get(network, ())
        for row in (*match(network, trials), *single_rows(network, trials)):
            if row.trial is not None:
                found.setdefault(row.label, f"#{anchor_of(row.trial)}")
        for trial in trials:
            found.setdefault(trial.name, f"#{anchor_of(trial)}")
    return found


def _score_figures(record: Record, store: PictureStore) -> list[Picture]:
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
        pictures.append(store.drawing(figure, f"curves-{network}", shows))
        pictures += [reliability_picture(trial, store) for trial in trials if can_choose(trial)]
    return pictures


def _pictures(row: Row, store: PictureStore, unreadable: list[str]) -> _Pictures:
    if row.trial is None:
        nothing = Picture("", "not run")
        planned = row.paper.settings if row.paper else {}
        settings = tuple(f"{key} {value}" for key, value in planned.items())
        return _Pictures(row.label, "", settings, nothing, nothing, nothing)
    trial = row.trial
    return _Pictures(
        name=row.label,
        anchor=anchor_of(row.trial),
        settings=tuple(f"{key} {trial.param(key)}" for key in SETTINGS if key in trial.params),
        curve=curve_picture(trial, row.label, store),
        crops=crops_picture(trial, row.label, store, unreadable),
        confusion=confusion_picture(trial, row.label, store),
    )
