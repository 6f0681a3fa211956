"""The report: its tables printed and its files written, from what is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mcalc.atomic_write import write_text
from mcalc.config import Line, TrackingConfig
from mcalc.console import counting, stderr
from mcalc.errors import UserError
from mcalc.paper import NETWORKS
from mcalc.report.baselines import baselines_table
from mcalc.report.formats import FORMATS, Table, as_text, bullets
from mcalc.report.html import page
from mcalc.report.paper_tables import TABLES, Record, build, further_scores, trials_of
from mcalc.results import RecordedTrial
from mcalc.secret_text import argument_shown
from mcalc.tracking import read_trials

_PAGE_TABLES = ("3", "4")
"""Tables that are figures, on the page."""


def write_report(line: Line) -> int:
    """Print tables and write the report; returns the exit status.

    Raises:
        UserError: a setting is wrong, nothing is recorded, or the output cannot be written.
    """
    table = line.words["table"]
    numbers = [number for number in TABLES if table in ("all", str(number))]
    record = _read(line.config().tracking, {each: line.words[each] for each in NETWORKS})
    out = line.words["out"]
    everything = {number: build(number, record) for number in TABLES}
    for number in numbers:
        _print(everything[number], alone=table != "all")
    written = {f"table{number}": everything[number] for number in numbers}
    if table == "all":
        if scores := further_scores(record):
            written["scores"] = scores
            _print(scores, alone=False)
        written["baselines"] = baselines_table(trials_of(record))
        _print(written["baselines"], alone=False)
        print("How these numbers were made\n" + "\n".join(bullets(everything[5].provenance)))
    print()
    for name, content in written.items():
        for ending, form in FORMATS.items():
            _write(out / f"{name}.{ending}", form(content))
        print(f"wrote {out / name}.{{{','.join(FORMATS)}}}")
    if table in ("all", *_PAGE_TABLES):
        with counting(stderr, "drawing figures") as progress:
            text = page(everything, record, progress)
        _write(out / "index.html", text)
        print(f"wrote {out / 'index.html'}")
    return 0


def _read(tracking: TrackingConfig, sweeps: Mapping[str, str]) -> Record:
    """Each network's trials, from the newest recording of its sweep."""
    # by name, as trials that share a training run are recorded in the order in which they stop
    record = {
        network: sorted(read_trials(tracking, sweep=sweep), key=_in_order)
        for network, sweep in sweeps.items()
    }
    if not any(record.values()):
        place = f"tracking.uri={tracking.uri}" if tracking.uri else f"tracking.dir={tracking.dir}"
        raise UserError(
            f"no trial of sweep '{sweeps['alexnet']}' or '{sweeps['googlenet']}' is recorded under "
            f"{argument_shown(place)}: run `make tables`, or `python -m mcalc.train -m "
            "sweep=alexnet,googlenet`, first"
        )
    return record


def _in_order(trial: RecordedTrial) -> list[tuple[int, str]]:
    """Sorts AL10 after AL9: runs of digits count as numbers."""
    parts = re.split(r"(\d+)", trial.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _print(table: Table, alone: bool) -> None:
    # among other tables, what they share is printed once at the end
    print(as_text(table if alone else replace(table, provenance=())))


def _write(path: Path, text: str) -> None:
    """Replace a file whole or not at all.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    try:
        with write_text(path) as file:
            file.write(text)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; name a folder you may write to with "
            "out=PATH"
        ) from error
