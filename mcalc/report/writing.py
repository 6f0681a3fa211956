"""The report: its tables printed and its files written, from what is recorded."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mcalc.config import Line, after_report
from mcalc.console import counting, stderr
from mcalc.data.sources.cbis_ddsm import read_all_cases
from mcalc.errors import UserError
from mcalc.evaluation import Choice, interval_figure, ladder_figure
from mcalc.line_breaks import for_stream
from mcalc.report.baselines import baselines_table
from mcalc.report.case_mix import case_mix_table
from mcalc.report.cautions import cautions, provenance
from mcalc.report.choosing import calibration_table, choosing_table
from mcalc.report.comparisons import comparisons_table
from mcalc.report.discipline import discipline_table, rungs
from mcalc.report.failures import begun_anew, failures_table
from mcalc.report.first_screen import Verdict, panels, verdict
from mcalc.report.formats import FORMATS, Table
from mcalc.report.html import page
from mcalc.report.output import save_figure, save_tables, save_text
from mcalc.report.package.archive import write_package
from mcalc.report.package.pages import shown_files
from mcalc.report.paper_tables import TABLES, build, further_scores
from mcalc.report.pictures import FolderPictures, InlinePictures, PictureStore
from mcalc.report.prediction_table import read_prediction_table
from mcalc.report.printing import print_notes, print_table
from mcalc.report.reading import Recorded, SweepRecord, read_recorded
from mcalc.report.recorded_list import Entry
from mcalc.report.repetitions import blocked_table, repetitions_table
from mcalc.report.rows import Row, all_rows, trials_of
from mcalc.report.single_page import FOLDER, own_page, write_pages
from mcalc.report.sweep_page import sweep_page, sweep_title
from mcalc.report.template import render
from mcalc.report.trial_page import HeatMaker
from mcalc.report.varying import sweep_of, sweep_table
from mcalc.results import RecordedTrial

_PAGE_TABLES = ("3", "4")
"""Tables that are figures, on the page."""
MOST_INLINE = 40
"""Trials up to which a page is one file with all its pictures inside."""
_PAGE, _LADDER, _INTERVALS = "index.html", "discipline.png", "intervals.png"
_PICTURES = "pictures"
_HOW = "How these numbers were made"

Against = Mapping[str, Mapping[str, float]]
"""Title -> lesion -> probability: predictions of others."""


def write_report(line: Line) -> int:
    """Print tables and write the report; returns the exit status.

    Raises:
        UserError: a setting is wrong, nothing is recorded, the case CSVs of `data.csv_dir` cannot
            be read, or the output cannot be written.
    """
    others = line.words["against"]
    against = {others.name: read_prediction_table(others)} if others else {}
    found = read_recorded(line)
    for file, theirs in against.items():
        _check_against(file, theirs, found)
    table = line.words["table"]
    if not any(found.paper.values()) and table in map(str, (*TABLES, 3, 4)):
        names = ", ".join(each.name for each in found.others)
        raise UserError(
            f"table={table} is of the paper's networks, and none of their rows is recorded (there "
            f"is {names}): without table= every recorded sweep has a page"
        )
    out = line.words["out"]
    entries = _entries(found)
    papers = any(found.paper.values())
    _check_package(line, entries, papers=papers)
    heat = _heat(line)
    if papers:
        tables = _paper(line, found, out, against, entries, heat)
        _package(line, trials_of(found.paper), tables, out)
    if table == "discipline" and not papers:
        _discipline_alone([t for each in found.others for t in each.trials], out)
    if table != "all":
        return 0
    several = len(entries) > 1
    for each, entry in zip(found.others, entries[papers:], strict=True):
        folder = out / Path(entry.address).parent if several else out
        home = "../../index.html" * several
        tables = _sweep(line, each, entry.said, folder, against, heat, brief=several, home=home)
        if not papers:
            _package(line, each.trials, tables, folder)
    if several and not papers:
        save_text(out / _PAGE, render("index.html.j2", recorded=entries))
        print(f"wrote {out / _PAGE}")
    after = after_report(str(out / _PAGE), line.config().tracking)
    print(for_stream(after, sys.stdout))
    return 0


def _check_against(file: str, theirs: Mapping[str, float], found: Recorded) -> None:
    """Raise UserError where another's predictions are of no lesion that is reported here."""
    trials = [*trials_of(found.paper), *(trial for each in found.others for trial in each.trials)]
    reported = dict.fromkeys(name for trial in trials for name in trial.predictions.ids)
    if reported and reported.keys().isdisjoint(theirs):
        raise UserError(
            f"against={file}: none of its {len(theirs)} ids, as {next(iter(theirs))!r}, is that of "
            f"a lesion reported here, as {next(iter(reported))!r}: give each lesion the id that it "
            "has in predictions.csv of a recorded trial"
        )


def _entries(found: Recorded) -> list[Entry]:
    """All that is recorded, the paper's networks first; addresses are seen from the first page."""
    entries = []
    if any(found.paper.values()):
        trials = trials_of(found.paper)
        anew = len(begun_anew(found.lost, trials))
        said = verdict(trials, len(found.lost) - anew, anew)
        entries.append(Entry("The paper's networks", len(trials), len(found.lost), said))
    taken: set[str] = set()
    for each in found.others:
        address = f"sweeps/{_folder(each.name, taken)}/{_PAGE}"
        anew = len(begun_anew(each.unfinished, each.trials))
        said = verdict(each.trials, len(each.unfinished) - anew, anew)
        entries.append(Entry(each.name, len(each.trials), len(each.unfinished), said, address))
    return entries


def _folder(name: str, taken: set[str]) -> str:
    """A folder's name that every file system takes, and no two sweeps have."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:80] or "sweep"
    found, count = plain, 1
    while found.lower() in taken:
        count += 1
        found = f"{plain}-{count}"
    taken.add(found.lower())
    return found


def _paper(
    line: Line,
    found: Recorded,
    out: Path,
    against: Against,
    entries: Sequence[Entry],
    heat: HeatMaker | None,
) -> dict[str, Table]:
    """Tables 1 to 6 and their page; returns the tables written, by the names of their files."""
    table, record, trials = line.words["table"], found.paper, trials_of(found.paper)
    numbers = [number for number in TABLES if table in ("all", str(number))]
    everything = {number: build(number, record) for number in TABLES}
    written = {f"table{number}": everything[number] for number in numbers}
    further: dict[str, Table] = {}
    if table in ("all", *_PAGE_TABLES):
        further = _further(trials, Choice(line.words["operating_point"]), against)
        if found.lost:
            further["failures"] = failures_table(found.lost, trials)
    if table == "all":
        written |= further
    if table in ("all", "discipline"):
        written |= _discipline(trials, out, alone=table != "all")
    # written before they are printed: a reader that goes away, as `head` does, loses no file
    save_tables(out, written)
    for content in written.values():
        _print(content, alone=table in map(str, TABLES))
    if table == "all":
        print_notes(everything[5].provenance, _HOW)
    elif table == "discipline":
        print_notes(cautions(trials))
    print()
    _say_written(out, written)
    if "discipline" in written:
        print(f"wrote {out / _LADDER}")
    if table in ("all", *_PAGE_TABLES):
        if table == "all":
            _intervals([row for row in all_rows(record) if row.trials], out)
        alone = len(trials) > MOST_INLINE
        csvs = line.config().data.csv_dir
        cases = read_all_cases([Path(csvs).expanduser()]) if csvs else None
        with counting(stderr, "drawing figures") as progress:
            text = page(
                everything, further, record, entries[0].said, progress, cases,
                store=_store(trials, out), recorded=entries,
                trial_address=own_page if alone else None, heat=heat,
            )  # fmt: skip
            if alone:
                write_pages(trials, out, "the paper's networks", progress, heat)
        save_text(out / _PAGE, text)
        print(f"wrote {out / _PAGE}")
    return written


def _sweep(
    line: Line,
    each: SweepRecord,
    said: Verdict,
    out: Path,
    against: Against,
    heat: HeatMaker | None,
    *,
    brief: bool,
    home: str,
) -> dict[str, Table]:
    """Tables and page of any sweep; returns the tables. `brief`: print what varies alone."""
    choice = Choice(line.words["operating_point"])
    further = _further(each.trials, choice, against) if each.trials else {}
    further |= _discipline(each.trials, out, alone=False)
    sweep = sweep_of(each.trials)
    title = f"{sweep_title(each.name, each.trials)}: what varies, and what came out"
    written = {"trials": sweep_table(sweep, title)} if each.trials else {}
    if each.unfinished:
        written["failures"] = failures_table(each.unfinished, each.trials)
    save_tables(out, written | further)
    print_notes([*filter(None, (said.sentence, said.choice))])
    print()
    for content in (written if brief else written | further).values():
        print_table(content)
    if not brief:
        print_notes((*cautions(each.trials), *provenance(each.trials)), _HOW)
    print()
    _say_written(out, written | further)
    if "discipline" in further:
        print(f"wrote {out / _LADDER}")
    if sweep.rows:
        _intervals([row.row for row in sweep.rows], out)
    store = _store(each.trials, out)
    alone = len(each.trials) > MOST_INLINE
    with counting(stderr, "drawing figures") as progress:
        text = sweep_page(
            each.name,
            sweep,
            said,
            each.trials,
            each.unfinished,
            further,
            store,
            trial_address=own_page if alone else None,
            home=home,
            heat=heat,
            progress=progress,
        )
        if alone:
            write_pages(each.trials, out, each.name, progress, heat)
    save_text(out / _PAGE, text)
    print(f"wrote {out / _PAGE}" + f" and a page for each trial in {out / FOLDER}" * alone)
    return written | further


def _check_package(line: Line, entries: Sequence[Entry], *, papers: bool) -> None:
    """Raise UserError where `package=` is not about one whole report."""
    if line.words["package"] is None:
        return
    if line.words["table"] != "all":
        raise UserError("package= takes every table: omit table=")
    if len(entries) > 1 and not papers:
        names = ", ".join(entry.title for entry in entries)
        raise UserError(f"package= takes one sweep: add sweep=NAME (recorded: {names})")


def _package(
    line: Line, trials: Sequence[RecordedTrial], tables: Mapping[str, Table], out: Path
) -> None:
    """The archive of `package=`, where one is asked for."""
    target: Path | None = line.words["package"]
    if target is None:
        return
    first = [_PAGE, _INTERVALS, *([_LADDER] if "discipline" in tables else [])]
    pages = shown_files(out, first, (_PICTURES, FOLDER))
    choice = Choice(line.words["operating_point"])
    count = write_package(target, trials, tables, pages, line.config().tracking, choice)
    print(f"wrote {target}: {count} files")


def _heat(line: Line) -> HeatMaker | None:
    if not line.words["heat_maps"]:
        return None
    from mcalc.report.heat import HeatMaps  # late: torch, which no other part of a report needs

    return HeatMaps()


def _store(trials: Sequence[RecordedTrial], out: Path) -> PictureStore:
    return InlinePictures() if len(trials) <= MOST_INLINE else FolderPictures(out, _PICTURES)


def _intervals(rows: Sequence[Row], out: Path) -> None:
    """The interval plot as a file of its own, for a README or a slide."""
    path = out / _INTERVALS
    save_figure(path, interval_figure(panels(rows)), dpi=130)
    print(f"wrote {path}")


def _discipline_alone(trials: Sequence[RecordedTrial], out: Path) -> None:
    written = _discipline(trials, out, alone=True)
    save_tables(out, written)
    for content in written.values():
        print_table(content)
    print_notes(cautions(trials))
    print()
    _say_written(out, written)
    print(f"wrote {out / _LADDER}")


def _discipline(trials: Sequence[RecordedTrial], out: Path, *, alone: bool) -> dict[str, Table]:
    """The table of protocols, and its picture written; nothing where there is one protocol.

    Raises UserError where it alone is asked for and there is none.
    """
    content = discipline_table(trials)
    if content is None:
        if alone:
            raise UserError(
                "table=discipline needs the same rows and seeds under two protocols or more, and "
                "there are none: `make audit` runs and reports such a sweep"
            )
        return {}
    steps = {rung.protocol: rung.aucs for rung in rungs(trials)}
    title = "The same rows under protocols that leak less and less"
    save_figure(out / _LADDER, ladder_figure(steps, title))
    return {"discipline": content}


def _further(trials: Sequence[RecordedTrial], choice: Choice, against: Against) -> dict[str, Table]:
    """Tables that the paper has not, by the name of their files; only those with content."""
    made = {
        "scores": further_scores(trials),
        "baselines": baselines_table(trials),
        "case_mix": case_mix_table(trials),
        "choosing": choosing_table(trials, choice),
        "calibration": calibration_table(trials),
        "repetitions": repetitions_table(trials),
        "blocked": blocked_table(trials),
        "differences": comparisons_table(trials, against),
    }
    return {name: table for name, table in made.items() if table is not None}


def _print(table: Table, alone: bool) -> None:
    # among other tables, what they share is printed once at the end
    print_table(table if alone else replace(table, provenance=()))


def _say_written(out: Path, tables: Mapping[str, Table]) -> None:
    for name in tables:
        print(f"wrote {out / name}.{{{','.join(FORMATS)}}}")
