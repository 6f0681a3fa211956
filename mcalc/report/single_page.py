"""Trials with a page each, where one page with all of them would grow too large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mcalc.errors import UserError
from mcalc.iteration import in_processes, usable_cores
from mcalc.report.cautions import cautions
from mcalc.report.footer import page_facts
from mcalc.report.formats import rounded_name
from mcalc.report.output import save_text
from mcalc.report.pictures import FolderPictures
from mcalc.report.template import render
from mcalc.report.trial_page import HeatMaker, same_run, trial_section, trial_style
from mcalc.report.trial_pictures import anchor_of, unreadable_caution
from mcalc.results import RecordedTrial

FOLDER = "trials"
_TRIALS_A_PROCESS = 5
"""Its start takes as long as these trials' pages."""
_MOST_PROCESSES = 16
"""Each takes about 250 MB."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes a trial's page, in any process."""

    out: Path
    sweep: str
    heat: HeatMaker | None

    def __call__(self, trials: Sequence[RecordedTrial]) -> None:
        """Write the page of the first; the others are those of its training run."""
        trial = trials[0]
        label = rounded_name(trial.name)
        lost: list[str] = []
        section = trial_section(
            trial,
            label,
            FolderPictures(self.out / FOLDER, "pictures"),
            among=trials,
            unreadable=lost,
            heat=self.heat,
        )
        text = render(
            "trial_alone.html.j2",
            title=label,
            sweep=self.sweep,
            home="../index.html",
            cautions=[*cautions([trial]), *unreadable_caution(lost)],
            section=section,
            facts=page_facts([trial]),
            trial_style=trial_style(),
        )
        save_text(self.out / own_page(trial), text)


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
    """Write every trial's page below `out`, its pictures beside it, on all cores.

    Raises UserError where they cannot be written.
    """
    # heat maps keep a network in memory and take all cores themselves
    processes = (
        1 if heat else min(usable_cores(), _MOST_PROCESSES, len(trials) // _TRIALS_A_PROCESS)
    )
    each = [(trial, *same_run(trial, trials)) for trial in trials]
    try:
        with closing(in_processes(_Writer(out, sweep, heat), each, processes)) as written:
            for done, _ in enumerate(written, start=1):
                progress(done, len(trials))
    except BrokenProcessPool as error:
        raise UserError(
            "a process that drew the trials' pages was killed, as where memory runs out: free some "
            "and give the command again"
        ) from error
