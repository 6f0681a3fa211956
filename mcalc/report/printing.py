"""Tables and notes on a terminal, of which no line is longer than it is wide."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TextIO

from mcalc.report.formats import GAP, TEXT_WIDTH, Table, as_text, bullets, text_widths

NARROWEST = 80
"""Columns of a terminal that the tables need."""
_MOST_REPEATED = 0.7
"""Share of a line that columns may take which stand in each part of a table."""


def printed_width(stream: TextIO | None = None) -> int:
    """Columns to print within: the terminal's, as far as tables fit; of a file or pipe the most.

    `stream`: None for stdout.
    """
    if stream is None or "COLUMNS" in os.environ:
        columns = shutil.get_terminal_size((TEXT_WIDTH, 24)).columns
    else:
        columns = TEXT_WIDTH
        with suppress(OSError, ValueError):  # it is no terminal, or has no number
            # a terminal that does not know its width says 0
            columns = os.get_terminal_size(stream.fileno()).columns or TEXT_WIDTH
    return min(max(columns, NARROWEST), TEXT_WIDTH)


def print_table(table: Table, stream: TextIO | None = None) -> None:
    """A table, in parts one below the other where it is wider than what it is printed on.

    `stream`: None for stdout.
    """
    width = printed_width(stream)
    shown = table.for_people()
    parts = _parts(shown, width)
    for place, columns in enumerate(parts):
        last = place == len(parts) - 1
        part = replace(
            shown,
            title=shown.title if place == 0 else "",
            columns=tuple(shown.columns[index] for index in columns),
            rows=tuple(tuple(row[index] for index in columns) for row in shown.rows),
            notes=shown.notes if last else (),
            provenance=shown.provenance if last else (),
        )
        print(as_text(part, width), end="\n" if last else "", file=stream)


def print_notes(notes: Sequence[str], heading: str = "") -> None:
    """Sentences as a list below a heading."""
    print("\n".join([*filter(None, [heading]), *bullets(tuple(notes), printed_width())]))


def _parts(table: Table, width: int) -> list[list[int]]:
    """Places of the columns of each part; each has those that say what a row is."""
    widths = text_widths(table)
    if _taken(widths) <= width:
        return [[*range(len(widths))]]
    first = next((i for i, column in enumerate(table.columns) if not column.text), 1)
    if _taken(widths[:first]) > _MOST_REPEATED * width:
        first = 1
    parts = [[*range(first)]]
    for place in range(first, len(widths)):
        full = _taken([widths[index] for index in (*parts[-1], place)]) > width
        if full and len(parts[-1]) > first:
            parts.append([*range(first)])
        parts[-1].append(place)
    return parts


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)
