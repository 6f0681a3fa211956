"""The report: its tables printed and its files written, from what is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from mcalc.atomic_write import write_binary, write_text
from mcalc.config import Line
from mcalc.console import counting, stderr
from mcalc.data.sources.cbis_ddsm import read_all_cases
from mcalc.errors import UserError
from mcalc.evaluation import Choice, ladder_figure
from mcalc.paper import NETWORKS
from mcalc.report.baselines import baselines_table
from mcalc.report.case_mix import case_mix_table
from mcalc.report.cautions import cautions
from mcalc.report.choosing import calibration_table, choosing_table
from mcalc.report.comparisons import comparisons_table
from mcalc.report.discipline import discipline_table, rungs
from mcalc.report.formats import FORMATS, Table, as_text, bullets
from mcalc.report.html import page
from mcalc.report.networks import of_one_network
from mcalc.report.package.archive import write_package
from mcalc.report.paper_tables import TABLES, build, further_scores
from mcalc.report.prediction_table import read_prediction_table
from mcalc.report.repetitions import blocked_table, repetitions_table
from mcalc.report.rows import Record, trials_of
from mcalc.results import RecordedTrial
from mcalc.secret_text import argument_shown
from mcalc.tracking import read_trials

_PAGE_TABLES = ("3", "4")
"""Tables that are figures, on the page."""
_PICTURE = "discipline.png"


def write_report(line: Line) -> int:
    """Print tables and write the report; returns the exit status.

    Raises:
        UserError: a setting is wrong, nothing is recorded, the case CSVs of `data.csv_dir` cannot
            be read, or the output cannot be written.
    """
    table = line.words["table"]
    numbers = [number for number in TABLES if table in ("all", str(number))]
    others = line.words["against"]
    against = {others.name: read_prediction_table(others)} if others else {}
    csvs = line.config().data.csv_dir
    cases = read_all_cases([Path(csvs).expanduser()]) if csvs else None
    record = _read(line)
    if line.words["intervals"] == "independent":
        record = {network: [_unclustered(t) for t in trials] for network, trials in record.items()}
    out = line.words["out"]
    if line.words["package"] and table != "all":
        raise UserError("package= takes every table: omit table=")
    everything = {number: build(number, record) for number in TABLES}
    written = {f"table{number}": everything[number] for number in numbers}
    further: dict[str, Table] = {}
    if table in ("all", *_PAGE_TABLES):
        further = _further(record, Choice(line.words["operating_point"]), against)
    if table == "all":
        written |= further
    if table in ("all", "discipline"):
        written |= _discipline(record, out, alone=table != "all")
    # written before they are printed: a reader that goes away, as `head` does, loses no file
    for name, content in written.items():
        for ending, form in FORMATS.items():
            _write(out / f"{name}.{ending}", form(content))
    for content in written.values():
        _print(content, alone=table in map(str, TABLES))
    if table == "all":
        print("How these numbers were made\n" + "\n".join(bullets(everything[5].provenance)))
    elif table == "discipline":
        print("\n".join(bullets(cautions(trials_of(record)))))
    print()
    for name in written:
        print(f"wrote {out / name}.{{{','.join(FORMATS)}}}")
    if "discipline" in written:
        print(f"wrote {out / _PICTURE}")
    if table in ("all", *_PAGE_TABLES):
        with counting(stderr, "drawing figures") as progress:
            text = page(everything, further, record, progress, cases)
        _write(out / "index.html", text)
        print(f"wrote {out / 'index.html'}")
    if line.words["package"]:
        target: Path = line.words["package"]
        pages = {"index.html": text.encode()}
        tracking = line.config().tracking
        count = write_package(target, trials_of(record), written, pages, tracking)
        print(f"wrote {target}: {count} files")
    return 0


def _discipline(record: Record, out: Path, *, alone: bool) -> dict[str, Table]:
    """The table of protocols, and its picture written; nothing where there is one protocol.

    Raises UserError where it alone is asked for and there is none.
    """
    trials = trials_of(record)
    content = discipline_table(trials)
    if content is None:
        if alone:
            raise UserError(
                "table=discipline needs the same rows and seeds under two protocols or more, and "
                "there are none: `make audit` runs and reports such a sweep"
            )
        return {}
    steps = {rung.protocol: rung.aucs for rung in rungs(trials)}
    picture = out / _PICTURE
    drawn = BytesIO()
    ladder_figure(steps, "The same rows under protocols that leak less and less").savefig(
        drawn, dpi=150
    )
    try:
        with write_binary(picture) as file:
            file.write(drawn.getvalue())
    except OSError as error:
        raise _unwritable(picture, error) from error
    return {"discipline": content}


def _further(
    record: Record, choice: Choice, against: Mapping[str, Mapping[str, float]]
) -> dict[str, Table]:
    """Tables that the paper has not, by the name of their files; only those with content."""
    trials = trials_of(record)
    made = {
        "scores": further_scores(record),
        "baselines": baselines_table(trials),
        "case_mix": case_mix_table(trials),
        "choosing": choosing_table(trials, choice),
        "calibration": calibration_table(trials),
        "repetitions": repetitions_table(trials),
        "blocked": blocked_table(trials),
        "differences": comparisons_table(trials, against),
    }
    return {name: table for name, table in made.items() if table is not None}


def _unclustered(trial: RecordedTrial) -> RecordedTrial:
    """The trial as if no two lesions were of one patient."""
    assert trial.artifacts is not None  # the report reads them
    kept = trial.artifacts
    validation = kept.validation and replace(kept.validation, patients=())
    predictions = replace(kept.predictions, patients=())
    return replace(trial, artifacts=replace(kept, predictions=predictions, validation=validation))


def _read(line: Line) -> Record:
    """Each network's trials, from the newest recording of its sweep."""
    config = line.config()
    tracking = config.tracking
    sweeps = {network: config.sweep or line.words[network] for network in NETWORKS}
    recorded = {sweep: read_trials(tracking, sweep=sweep) for sweep in {*sweeps.values()}}
    # by name, as trials that share a training run are recorded in the order in which they stop
    record = {
        network: sorted(of_one_network(network, recorded[sweep], sweeps), key=_in_order)
        for network, sweep in sweeps.items()
    }
    if not any(record.values()):
        place = f"tracking.uri={tracking.uri}" if tracking.uri else f"tracking.dir={tracking.dir}"
        others = sorted(
            {t.params.get("backbone.name", "?") for ts in recorded.values() for t in ts}
        )
        if others:
            raise UserError(
                "the paper's tables have rows of AlexNet and GoogLeNet, and sweep "
                f"{config.sweep!r} has trials of {', '.join(others)} alone: `python -m "
                "mcalc.sweep show` and `make ui` compare them"
            )
        asked = " or ".join(repr(sweep) for sweep in dict.fromkeys(sweeps.values()))
        raise UserError(
            f"no trial of sweep {asked} is recorded under {argument_shown(place)}: run `make "
            "tables`, or `python -m mcalc.train -m sweep=alexnet,googlenet`, first"
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
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error.strerror or error}; name a folder you may write to with "
        "out=PATH"
    )
