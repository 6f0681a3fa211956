"""Cells of CSV files that a spreadsheet program would run as formulas, and the way back.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a line end is a formula to Excel, LibreOffice
and Google Sheets, and may fetch or send. Names of files and lesions come from others, so such a
cell is written with an apostrophe before it, which those programs take for `this is text`:

    =HYPERLINK(...)    is written    '=HYPERLINK(...)
    '=1                              ''=1, so that nothing is lost
    -0.25                            -0.25, a number
    P_00001_LEFT_CC                  as it is
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile(
    # what programs skip before a formula: white space, marks without width, control characters
    r"[\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212]"
    r"|[\t\r\n]"
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def protected(cell: str) -> str:
    """A cell as it is written: no program takes it for a formula."""
    return f"'{cell}" if _would_run(cell.lstrip("'")) else cell


def unprotected(cell: str) -> str:
    """The cell that was written so: `unprotected(protected(x)) == x` for any text."""
    return cell[1:] if cell.startswith("'") and _would_run(cell.lstrip("'")) else cell


def csv_text(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a CSV file with these rows, every cell protected; lines end in LF."""
    for row in rows:
        line = io.StringIO(newline="")
        # csv leaves a lone CR unquoted unless lines end with one; a reader would begin a row there
        csv.writer(line, lineterminator="\r\n").writerow([protected(cell) for cell in row])
        yield line.getvalue().removesuffix("\r\n") + "\n"


def _would_run(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None
