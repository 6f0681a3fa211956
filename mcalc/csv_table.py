"""CSV files with named columns, from a data set's authors, a spreadsheet or a program."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcalc.atomic_write import write_text
from mcalc.errors import UserError

FIRST_ROW = 2
"""The first data row's number: a spreadsheet shows the header as row 1."""


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
    remedy: str = "save it as CSV in UTF-8 again",
) -> Iterator[CsvRow]:
    """The rows of a CSV file; blank ones are skipped.

    Columns are found whatever their case, order, and blanks or underscores between words. Others
    are ignored, and an optional one that is not there is ''. Fields are separated by commas, or by
    semicolons where the header has more of those, as European spreadsheets write them. Text is
    UTF-8, with or without a byte order mark.

    Args:
        path: the file.
        required: columns that the header must have.
        optional: columns that it may have.
        keep_misfits: give rows with too few or too many fields, `misfit` set, instead of refusing.
        remedy: what the user can do about a file that is not such a table.

    Raises:
        UserError: the file cannot be read, is not a CSV file, or lacks a required column.
    """
    try:
        # newline="" leaves line ends inside quotes to csv
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = ";" if first.count(";") > first.count(",") else ","
            # strict: a quote left open would swallow every row after it
            rows = csv.reader(file, strict=True, delimiter=delimiter, skipinitialspace=True)
            header = [column_key(name) for name in next(rows, [])]
            at = _places(path, header, required, optional)
            for number, row in enumerate(rows, start=FIRST_ROW):
                values = [value.strip() for value in row]
                if not any(values):
                    continue
                fits = len(values) >= len(header) and not any(values[len(header) :])
                misfit = "" if fits else f"{len(values)} of {len(header)} fields"
                if misfit and not keep_misfits:
                    raise UserError(
                        f"{path} row {number} has {misfit} that its header names: expected one "
                        "value a column; put text that holds a comma between quotes"
                    )
                padded = values + [""] * (len(header) - len(values))
                named = {name: "" if i is None else padded[i] for name, i in at.items()}
                yield CsvRow(number, named, misfit)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {remedy}") from error
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file ({error}): {remedy}") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): check its name and rights"
        ) from error


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], what: str, remedy: str
) -> None:
    """Write a CSV file (UTF-8), whole or not at all; folders are made as needed.

    Raises UserError, with `what` it is and the remedy, where it cannot be written.
    """
    try:
        with write_text(path) as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    except OSError as error:
        raise UserError(f"{what} {path} cannot be written ({error.strerror}): {remedy}") from error


def column_key(name: str) -> str:
    """A column's name as it is compared: lower case, one blank between words."""
    return " ".join(name.replace("_", " ").split()).casefold()


def _places(
    path: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> dict[str, int | None]:
    """The position of each column; None for an optional one that is not there."""
    missing = [name for name in required if column_key(name) not in header]
    if missing:
        known = {column_key(name) for name in (*required, *optional)}
        others = [name for name in header if name not in known]
        near = [difflib.get_close_matches(column_key(name), others, n=1) for name in missing]
        lacks = ", ".join(
            f"'{name}'" + (f" (nearest there: '{close[0]}')" if close else "")
            for name, close in zip(missing, near, strict=True)
        )
        also = f" and, where known, {', '.join(optional)}" if optional else ""
        raise UserError(
            f"{path} lacks the column(s) {lacks}: expected a header row with "
            f"{', '.join(required)}{also}"
        )
    keys = {name: column_key(name) for name in (*required, *optional)}
    return {name: header.index(key) if key in header else None for name, key in keys.items()}
