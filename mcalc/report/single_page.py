"""Trials with a page each, where one page with all of them would grow too large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mcalc.report.cautions import cautions
from mcalc.report.footer import page_facts
from mcalc.report.formats import rounded_name
from mcalc.report.output import save_text
from mcalc.report.pictures import FolderPictures
from mcalc.report.template import render
from mcalc.report.trial_page import HeatMaker, trial_section, trial_style
from mcalc.report.trial_pictures import anchor_of, unreadable_caution
from mcalc.results import RecordedTrial

FOLDER = "trials"


def own_page(trial: RecordedTrial) -> str:
    """The address of a trial's own page, seen from that of its sweep."""
    return f"{FOLDER}/{anchor_of(trial)}.html"


def write_pages(
    trials: Sequence[RecordedTrial],
    out: Path,
    sweep: str,
    progress: Callable[[int, int], None],
    heat: HeatMaker | None = None,
) -> None:
    """Write every trial's page below `out`, its pictures beside it.

    Raises UserError where they cannot be written.
    """
    for done, trial in enumerate(trials, start=1):
        label = rounded_name(trial.name)
        lost: list[str] = []
        pictures = FolderPictures(out / FOLDER, "pictures")
        section = trial_section(
            trial,
            label,
            pictures,
            among=trials,
            unreadable=lost,
            heat=heat,
        )
        text = render(
            "trial_alone.html.j2",
            title=label,
            sweep=sweep,
            home="../index.html",
            cautions=[*cautions([trial]), *unreadable_caution(lost)],
            section=section,
            facts=page_facts([trial]),
            trial_style=trial_style(),
        )
        save_text(out / own_page(trial), text)
        progress(done, len(trials))
