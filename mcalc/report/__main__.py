"""`python -m mcalc.report`: print the tables and write the report, from what is recorded."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcalc.config.schema import TrackingConfig
from mcalc.errors import UserError, exit_on_user_error, nearest
from mcalc.paper.tables import NETWORKS
from mcalc.report.baselines import baselines_table
from mcalc.report.formats import FORMATS, Table, as_text, bullets
from mcalc.report.html import page
from mcalc.report.paper_tables import TABLES, Record, build, further_scores
from mcalc.results import RecordedTrial

USAGE = """\
usage: python -m mcalc.report [table=1|2|3|4|5|6|all] [dir=mlruns] [out=report]
                              [alexnet=SWEEP] [googlenet=SWEEP]

table      1, 2, 5 or 6: print and write that table alone; 3 or 4: write the page with the figures;
           all (the default): print and write every table, the baselines and the page
dir        folder of the record
out        folder to write to
alexnet, googlenet
           sweep whose newest recording fills the network's rows (by default, of the same name)
"""

_PAGE_TABLES = (3, 4)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked."""

    table: str = "all"
    dir: str = "mlruns"
    out: str = "report"
    alexnet: str = "alexnet"
    googlenet: str = "googlenet"

    @property
    def tables(self) -> tuple[int, ...]:
        """Numbers of the tables to print and write."""
        if self.table == "all":
            return TABLES
        return tuple(number for number in TABLES if str(number) == self.table)

    @property
    def with_page(self) -> bool:
        """Whether to write the page with the figures."""
        return self.table in ("all", *map(str, _PAGE_TABLES))


def parse(arguments: Sequence[str]) -> Options:
    """Options from `key=value` arguments.

    Raises:
        UserError: an argument is no `key=value`, its key or table is unknown, or its value empty.
    """
    valid = tuple(Options.__slots__)
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(
                f"'{argument}' is not understood: expected key=value with a key of "
                f"{', '.join(valid)}{nearest(key.lstrip('-'), valid)}"
            )
        if key not in valid:
            raise UserError(
                f"unknown key '{key}': expected one of {', '.join(valid)}"
                f"{nearest(key.lstrip('-'), valid)}"
            )
        if not value:
            raise UserError(f"{key}= has no value: give one, or leave {key} out for its default")
        given[key] = value
    options = Options(**given)
    tables = (*map(str, sorted((*TABLES, *_PAGE_TABLES))), "all")
    if options.table not in tables:
        raise UserError(f"table={options.table}: expected one of {', '.join(tables)}")
    return options


def main(arguments: Sequence[str]) -> None:
    """Print tables and write the report.

    Raises:
        UserError: an argument is wrong, nothing is recorded, or the output cannot be written.
    """
    if any(argument in ("-h", "--help", "help") for argument in arguments):
        print(USAGE, end="")
        return
    options = parse(arguments)
    record = _read(options)
    out = Path(options.out)
    everything = {number: build(number, record) for number in TABLES}
    for number in options.tables:
        _print(everything[number], alone=options.table != "all")
    written = {f"table{number}": everything[number] for number in options.tables}
    if options.table == "all":
        if scores := further_scores(record):
            written["scores"] = scores
            _print(scores, alone=False)
        written["baselines"] = baselines_table([t for trials in record.values() for t in trials])
        _print(written["baselines"], alone=False)
        print("How these numbers were made\n" + "\n".join(bullets(everything[5].provenance)))
    print()
    for name, table in written.items():
        for ending, form in FORMATS.items():
            _write(out / f"{name}.{ending}", form(table))
        print(f"wrote {out / name}.{{{','.join(FORMATS)}}}")
    if options.with_page:
        progress = _Counter(sum(len(trials) for trials in record.values()))
        _write(out / "index.html", page(everything, record, progress))
        print(f"wrote {out / 'index.html'}")


def _read(options: Options) -> Record:
    # the record needs mlflow, which takes over a second to import: not for a mistyped argument
    from mcalc.tracking.reader import read_trials

    sweeps = {network: getattr(options, network) for network in NETWORKS}
    # by name, as trials that share a training run are recorded in the order in which they stop
    record = {
        network: sorted(
            read_trials(TrackingConfig(dir=options.dir), sweep=sweeps[network]), key=_in_order
        )
        for network in sweeps
    }
    if not any(record.values()):
        raise UserError(
            f"no trial of sweep '{sweeps['alexnet']}' or '{sweeps['googlenet']}' is recorded under "
            f"dir={options.dir}: run `make tables`, or `python -m mcalc.train -m "
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


class _Counter:
    """Counts trials on stderr while their figures are drawn: in place on a terminal."""

    def __init__(self, total: int) -> None:
        self._done, self._total = 0, total

    def __call__(self, name: str) -> None:
        self._done += 1
        last = self._done == self._total
        if sys.stderr.isatty():
            line = f"\rdrawing figures {self._done}/{self._total}: {name:<12.12}"
            print(line, end="\n" if last else "", file=sys.stderr, flush=True)
        elif self._done == 1:
            print(f"drawing the figures of {self._total} trials", file=sys.stderr, flush=True)


def _write(path: Path, text: str) -> None:
    """Replace a file whole or not at all.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)  # mkstemp gives 0600, which keeps colleagues out
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; name a folder you may write to with "
            "out=PATH"
        ) from error


if __name__ == "__main__":
    with exit_on_user_error():
        main(sys.argv[1:])
