"""The paper's networks as a page: Tables 1 to 6, further tables, figures, what to beware of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mcalc.data.sources.cbis_ddsm import Case
from mcalc.evaluation import curves_figure, interval_figure, odds_of
from mcalc.paper import DIFFERENCES, NETWORK_TITLES, NETWORKS
from mcalc.report.audit import audit
from mcalc.report.cautions import cautions, provenance
from mcalc.report.first_screen import Verdict, described, panels
from mcalc.report.footer import page_facts
from mcalc.report.formats import Table, counted
from mcalc.report.networks import which_were_run
from mcalc.report.pictures import InlinePictures, Picture, PictureStore
from mcalc.report.recorded_list import Entry
from mcalc.report.rows import Record, all_rows, match, single_rows, trials_of
from mcalc.report.template import render
from mcalc.report.trial_page import HeatMaker, trial_section, trial_style
from mcalc.report.trial_pictures import anchor_of, unreadable_caution
from mcalc.report.used import assumed
from mcalc.results import RecordedTrial


@dataclass(frozen=True, slots=True)
class _Gallery:
    """Table 3 or 4: each trial with its pictures."""

    number: int
    title: str
    sections: tuple[Markup, ...]
    """Of the trials that were run; empty where each has a page of its own."""
    links: tuple[tuple[str, str], ...]
    """Name and address of each trial that has a page of its own."""
    missing: tuple[str, ...]
    """Names of the paper's rows that were not run."""


def page(
    tables: Mapping[int, Table],
    further: Mapping[str, Table],
    record: Record,
    said: Verdict,
    progress: Callable[[int, int], None] | None = None,
    cases: Sequence[Case] | None = None,
    store: PictureStore | None = None,
    recorded: Sequence[Entry] = (),
    trial_address: Callable[[RecordedTrial], str] | None = None,
    heat: HeatMaker | None = None,
) -> str:
    """The whole page.

    Args:
        tables: tables of `mcalc.report.paper_tables.build` by number, shown in that order.
        further: other tables by their name, shown after them.
        record: network -> recorded trials, whose figures are drawn.
        said: what came out.
        progress: called with (done, total) after each trial's figures are drawn (a second each).
        cases: rows of the four case CSVs, for the audit of the paper; None leaves out what needs
            them.
        store: where pictures go; None keeps them inside the page.
        recorded: all that the record holds, where it is more than these trials.
        trial_address: where each trial has a page of its own; None shows all on this page.
        heat: what computes each trial's heat maps; None leaves them out.

    Returns:
        HTML; every text of the record is escaped. A crop that is kept
        but cannot be read is named among the cautions.
    """
    trials = trials_of(record)
    store = store or InlinePictures()
    unreadable: list[str] = []
    galleries: list[_Gallery] = []
    drawn = 0
    for number, network in zip((3, 4), NETWORKS, strict=True):
        rows = single_rows(network, record.get(network, ()))
        sections = []
        for row in rows if trial_address is None else ():
            if row.trial is None:
                continue
            sections.append(
                trial_section(
                    row.trial,
                    row.label,
                    store,
                    among=trials,
                    unreadable=unreadable,
                    heat=heat,
                )
            )
            drawn += 1
            if progress is not None:
                progress(drawn, len(trials))
        run = [(row.label, row.trial) for row in rows if row.trial is not None]
        galleries.append(
            _Gallery(
                number,
                NETWORK_TITLES[network],
                tuple(sections),
                tuple((label, trial_address(trial)) for label, trial in run)
                if trial_address is not None
                else (),
                tuple(row.label for row in rows if row.trial is None),
            )
        )
    return render(
        "page.html.j2",
        verdict=said,
        pictures=_intervals(record, store),
        recorded=recorded,
        links=_links(record, trial_address or _anchor),
        facts=page_facts(trials) if trials else [],
        trial_style=trial_style(),
        cautions=[*cautions(trials), *unreadable_caution(unreadable)],
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


def _anchor(trial: RecordedTrial) -> str:
    return f"#{anchor_of(trial)}"


def _links(record: Record, place: Callable[[RecordedTrial], str]) -> dict[str, str]:
    """Name in a first column -> where the page shows its trial; of several runs the first."""
    found: dict[str, str] = {}
    for network in NETWORKS:
        trials = record.get(network, ())
        for row in (*match(network, trials), *single_rows(network, trials)):
            if row.trial is not None:
                found.setdefault(row.label, place(row.trial))
        for trial in trials:
            found.setdefault(trial.name, place(trial))
    return found


def _score_figures(record: Record, store: PictureStore) -> list[Picture]:
    """ROC and precision-recall curves of each network's trials."""
    pictures = []
    for network in NETWORKS:
        trials = [t for t in record.get(network, ()) if len(np.unique(t.predictions.labels)) == 2]
        if not trials:
            continue
        title = NETWORK_TITLES[network]
        scorers = {
            trial.name: (trial.predictions.labels, odds_of(trial.predictions)) for trial in trials
        }
        shows = f"ROC and precision-recall curves of {counted(len(trials), 'trial')} of {title}."
        figure = curves_figure(scorers, f"{title}: ROC and precision-recall curves")
        pictures.append(store.drawing(figure, f"curves-{network}", shows))
    return pictures
