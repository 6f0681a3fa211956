"""Tables that users bring: CSV files with named columns, from a spreadsheet or a program."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcalc.errors import UserError

FIRST_ROW = 2
"""The first data row's number: a spreadsheet shows the header as row 1."""


def read_table(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Data rows as (row number, {column: stripped text}); rows that are blank are skipped.

    Columns are matched whatever their case and order, others are ignored, and an optional one that
    is not there is ''. Commas or semicolons between the fields (a spreadsheet in Europe writes
    semicolons), UTF-8 with or without a byte order mark.

    Raises UserError when the file cannot be read as such a table or lacks a required column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = ";" if first.count(";") > first.count(",") else ","
            # strict: a quote left open would swallow every row after it
            rows = csv.reader(file, strict=True, delimiter=delimiter, skipinitialspace=True)
            header = [name.strip().casefold() for name in next(rows, [])]
            at = _places(path, header, required, optional)
            for number, row in enumerate(rows, start=FIRST_ROW):
                values = [value.strip() for value in row]
                if any(values):
                    yield number, _record(path, number, values, at, len(header))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file ({error}): save it as CSV again") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): check its name and rights"
        ) from error


def _places(
    path: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> dict[str, int | None]:
    missing = [name for name in required if name.casefold() not in header]
    if missing:
        near = [difflib.get_close_matches(name.casefold(), header, n=1) for name in missing]
        lacks = ", ".join(
            f"'{name}'" + (f" (nearest there: '{close[0]}')" if close else "")
            for name, close in zip(missing, near, strict=True)
        )
        also = f" and, where known, {', '.join(optional)}" if optional else ""
        raise UserError(
            f"{path} lacks the column(s) {lacks}: expected a header row with "
            f"{', '.join(required)}{also}"
        )
    return {
        name: header.index(name.casefold()) if name.casefold() in header else None
        for name in (*required, *optional)
    }


def _record(
    path: Path, number: int, values: Sequence[str], at: dict[str, int | None], width: int
) -> dict[str, str]:
    if len(values) < width or any(values[width:]):
        raise UserError(
            f"{path} row {number} has {len(values)} fields: expected {width}, as in its header; "
            "put text that holds a comma between quotes"
        )
    return {name: "" if place is None else values[place] for name, place in at.items()}
