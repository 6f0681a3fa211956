"""CSV files with named columns, from a data set's authors, a spreadsheet or a program."""

from __future__ import annotations

import csv
import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from mcalc.atomic_write import write_text
from mcalc.csv_cells import csv_text, unprotected
from mcalc.csv_lines import Lines, NotText, open_lines
from mcalc.errors import UserError

FIRST_ROW = 2
"""The first data row's number: a spreadsheet shows the header as row 1."""
MOST_COLUMNS = 10_000
"""Columns that a header may name."""
_COMPARED = 200
"""Columns of the file that a missing one is compared with."""
_SHOWN = 60
"""Characters of a column's name that a message shows."""

_COMMA = ","
_OTHERS = {
    ";": "semicolons (;)",
    "\t": "tabs",
    "|": "vertical bars (|)",
    "\uff0c": "full-width commas (\uff0c)",
    "\uff1b": "full-width semicolons (\uff1b)",
    ":": "colons (:)",
    " ": "blanks",
}
"""Separators that other programs write, in words."""
_SEPARATOR_LINE = re.compile(r'\ufeff*"?sep=(.)"?[\s,;|]*', re.IGNORECASE)
"""What Excel writes and reads above the header."""
_RENAMED = re.compile(r"\.[0-9]+\Z")
"""What pandas and R add to a column's name that is there already: `label.1`."""
_IN_NAMES = (":", " ")
"""Separators that a column's name may hold: they need two known columns between them."""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One data row."""

    number: int
    """As a spreadsheet shows it: the header is row 1, and blank rows count."""
    values: dict[str, str]
    """Text by column, without white space around it; '' where the row has none."""
    misfit: str = ""
    """`3 of 14 fields` where the row has more or fewer than the header; else nothing."""


def read_table(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    keep_misfits: bool = False,
    ours: bool = False,
    remedy: str = "save it as CSV in UTF-8 again",
) -> Iterator[CsvRow]:
    """The rows of a CSV file; blank ones are skipped.

    Columns are found whatever their case, order, and blanks or underscores between words. Others
    are ignored, and an optional one that is not there is ''. Fields are separated by commas, or by
    semicolons where the header has more of those. Text is UTF-8, with or without a byte order mark.

    Args:
        path: the file.
        required: columns that the header must have, each once.
        optional: columns that it may have, each once.
        keep_misfits: give rows with too few or too many fields, `misfit` set, instead of refusing.
        ours: the file is one of `write_table`, whose protected cells are restored; the files of
            others are read as they are.
        remedy: what the user can do about a file that is not such a table.

    Raises:
        UserError: the file cannot be read, is not a CSV file or too large for one, has another
            separator, lacks a required column or has one twice.
    """
    with _opened(path, remedy) as lines:
        for row in _rows(path, lines, [*required], [*optional], keep_misfits, remedy):
            values = {name: unprotected(value) for name, value in row.values.items()}
            yield replace(row, values=values) if ours else row


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file whole, whatever its columns."""

    columns: tuple[str, ...]
    """The header's names as they stand there, without white space around them; some may be equal
    or empty."""
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Each with its number, as of `CsvRow`, and as many values as there are columns."""


def read_sheet(path: Path, remedy: str = "save it as CSV in UTF-8 again") -> Sheet:
    """Every column of a CSV file whose columns are not known; blank rows are skipped.

    As `read_table`, but that fields may be separated by tabs too, where the header has most of
    those. Raises UserError where the file cannot be read, is no CSV file, has nothing in its header
    or a row with more or fewer fields.
    """
    with _opened(path, remedy) as lines:
        records = _records(path, lines, remedy, tabs=True)
        _, header = next(records, ("", []))
        _check_separator(path, lines.first, header, set())
        columns = tuple(name.replace("\ufeff", "").strip() for name in header)
        if not any(columns):
            raise UserError(f"{path} has nothing in its first row: expected a header")
        if len(columns) > MOST_COLUMNS:
            raise _too_wide(path, len(columns))
        rows = []
        for number, (where, row) in enumerate(records, start=FIRST_ROW):
            values = [value.strip() for value in row]
            if any(values):
                if misfit := _misfit(values, len(columns)):
                    raise _refused(path, where, misfit)
                rows.append((number, tuple(values[: len(columns)])))
        return Sheet(columns, tuple(rows))


@contextmanager
def _opened(path: Path, remedy: str) -> Iterator[Lines]:
    """The lines of a file. Raises UserError where it cannot be read or is no text."""
    try:
        with open_lines(path) as lines:
            yield lines
    except NotText as error:
        raise UserError(f"{path} {error}: {remedy}") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): check its name and rights"
        ) from error


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], what: str, remedy: str
) -> None:
    """Write a CSV file (UTF-8), whole or not at all; folders are made as needed.

    Cells that a spreadsheet would run as formulas are protected (`csv_cells`).

    Raises UserError, with `what` it is and the remedy, where it cannot be written.
    """
    try:
        with write_text(path) as file:
            file.writelines(csv_text([columns, *rows]))
    except OSError as error:
        raise UserError(f"{what} {path} cannot be written ({error.strerror}): {remedy}") from error


def column_key(name: str) -> str:
    """A column's name as it is compared: lower case, one blank between words."""
    # a byte order mark stands before a name where files were joined
    text = unicodedata.normalize("NFKC", name.replace("\ufeff", ""))
    return " ".join(text.replace("_", " ").split()).casefold()


def _rows(
    path: Path,
    lines: Lines,
    required: list[str],
    optional: list[str],
    keep_misfits: bool,
    remedy: str,
) -> Iterator[CsvRow]:
    records = _records(path, lines, remedy)
    known = {column_key(name) for name in (*required, *optional)}
    try:
        _, header = next(records, ("", []))
    except UserError:
        # quotes look wrong where commas do not end their field
        _check_separator(path, lines.first, [], known)
        raise
    _check_separator(path, lines.first, header, known)
    at = _places(path, header, required, optional)
    for number, (where, row) in enumerate(records, start=FIRST_ROW):
        values = [value.strip() for value in row]
        if not any(values):
            continue
        misfit = _misfit(values, len(header))
        if misfit and not keep_misfits:
            raise _refused(path, where, misfit)
        padded = values + [""] * (len(header) - len(values))
        named = {name: "" if i is None else padded[i] for name, i in at.items()}
        yield CsvRow(number, named, misfit)


def _misfit(values: Sequence[str], columns: int) -> str:
    fits = len(values) >= columns and not any(values[columns:])
    return "" if fits else f"{len(values)} of {columns} fields"


def _refused(path: Path, where: str, misfit: str) -> UserError:
    return UserError(
        f"{path} {where} has {misfit} that its header names: expected one "
        "value a column; put text that holds a comma between quotes"
    )


def _too_wide(path: Path, columns: int) -> UserError:
    return UserError(
        f"{path} has {columns:,} columns: expected at most {MOST_COLUMNS:,}; remove those "
        "that are not needed"
    )


def _records(
    path: Path, lines: Lines, remedy: str, tabs: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """The header and every row, blank ones too, each with its place in words."""
    header = next(lines, "")
    # semicolons: as European spreadsheets write them
    delimiters = (_COMMA, ";", "\t") if tabs else (_COMMA, ";")
    delimiter = max(delimiters, key=header.count)
    # strict: a quote left open would swallow every row after it
    reader = csv.reader(
        chain([header], lines), strict=True, delimiter=delimiter, skipinitialspace=True
    )
    number = 0
    while True:
        # the header's line is read already
        number, first = number + 1, lines.number + 1 if number else 1
        # rows with line ends inside quotes make the two differ
        where = f"row {number}" + f" (line {first} of the file)" * (first != number)
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"{path} is not a CSV file ({where}: {_in_words(error)}): {remedy}"
            ) from error
        if row is None:
            return
        lines.record_read()
        yield where, row


def _in_words(error: csv.Error) -> str:
    text = str(error)
    if text == "unexpected end of data":
        return "a quote is opened there and never closed"
    if text.startswith("field larger"):
        return f"{text}; a quote left open may be the cause"
    return text


def _places(
    path: Path, header: Sequence[str], required: list[str], optional: list[str]
) -> dict[str, int | None]:
    """The position of each column; None for an optional one that is not there."""
    if len(header) > MOST_COLUMNS:
        raise _too_wide(path, len(header))
    keys = {name: column_key(name) for name in (*required, *optional)}
    found = [column_key(name) for name in header]
    missing = [name for name in required if keys[name] not in found]
    if missing:
        raise _lacking(path, found, missing, required, optional)
    for name, key in keys.items():
        places = [
            str(i) for i, each in enumerate(found, start=1) if _RENAMED.sub("", each, 1) == key
        ]
        if len(places) > 1:
            raise UserError(
                f"{path} has the column '{name}' {len(places)} times (columns "
                f"{', '.join(places)}): expected it once; remove or rename the others"
            )
    return {name: found.index(key) if key in found else None for name, key in keys.items()}


def _check_separator(path: Path, first: str, header: Sequence[str], known: set[str]) -> None:
    """Raise UserError for a first line whose fields neither commas nor semicolons separate.

    Another separator is recognised by finding more of the known columns than those do, or several
    columns where those find a single one that is not known.
    """
    remedy = "save it so, as CSV (UTF-8)"
    if line := _SEPARATOR_LINE.fullmatch(first):
        raise UserError(
            f"{path} begins with the line '{first.strip()}', which only spreadsheets understand "
            f"(its separator: {_OTHERS.get(line.group(1), repr(line.group(1)))}): expected the "
            "header there: remove that line"
        )
    found = known.intersection(map(column_key, header))
    if found == known:
        return
    for separator, words in _OTHERS.items():
        names = {column_key(name.strip().strip('"')) for name in first.split(separator)}
        least = 1 + (separator in _IN_NAMES)
        more = len(known & names) >= len(found) + least
        single = len(header) == 1 and len(names) > 1 and not found
        if more or (single and separator not in _IN_NAMES):
            raise UserError(
                f"{path} is separated by {words}: expected commas (,) or semicolons (;) between "
                f"fields; {remedy}"
            )


def _lacking(
    path: Path,
    found: Sequence[str],
    missing: Sequence[str],
    required: Sequence[str],
    optional: Sequence[str],
) -> UserError:
    known = {column_key(name) for name in (*required, *optional)}
    others = [name for name in found if name and name not in known][:_COMPARED]
    near = [difflib.get_close_matches(column_key(name), others, n=1) for name in missing]
    lacks = ", ".join(
        f"'{name}'" + (f" (nearest there: '{close[0][:_SHOWN]}')" if close else "")
        for name, close in zip(missing, near, strict=True)
    )
    also = f" and, where known, {', '.join(optional)}" if optional else ""
    empty = "" if any(found) else "has nothing in its first row and "
    return UserError(
        f"{path} {empty}lacks the column(s) {lacks}: expected a header row with "
        f"{', '.join(required)}{also}"
    )
