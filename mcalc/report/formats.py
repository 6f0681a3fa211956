"""A table of text cells, and the forms it is written in: plain text, CSV, Markdown, LaTeX."""

from __future__ import annotations

import math
import re
import statistics
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcalc.csv_cells import csv_text

TEXT_WIDTH = 120
"""Columns of a terminal that `as_text` keeps within, unless told otherwise."""

GAP = 2
"""Spaces between columns of plain text."""
_NARROWEST = 8
"""Columns of words are never cut to fewer characters."""
NOT_RUN = "—"
"""Cell of a value that does not exist."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; its key is unique in the table."""

    key: str
    """Heading in CSV: `accuracy_low`."""
    heading: str
    """Heading for people; in plain text it breaks at spaces."""
    text: bool = False
    """Words rather than a number: aligned left."""
    csv_only: bool = False
    """Only in the CSV file, not in the forms made for people."""


def numbers(csv_only: bool = False, **headings: str) -> list[Column]:
    """Columns of numbers: `numbers(accuracy="Accuracy", n="n")`."""
    return [Column(key, heading, csv_only=csv_only) for key, heading in headings.items()]


RUN = Column("run_id", "Run", text=True, csv_only=True)
"""The run that a row is of, or the first of several: names may be those of many."""


def number_cell(value: float, digits: int) -> str:
    """The cell of a number; `NOT_RUN` for nan."""
    return NOT_RUN if math.isnan(value) else f"{value:.{digits}f}"


def interval_cell(low: float, high: float, *, signed: bool = False) -> str:
    """`0.912–0.950`; of differences `-0.012 to 0.031`; `NOT_RUN` where it is not defined."""
    if math.isnan(low) or math.isnan(high):
        return NOT_RUN
    return f"{low:.3f} to {high:.3f}" if signed else f"{low:.3f}–{high:.3f}"


def signed_cell(value: float) -> str:
    """A difference with three digits and its sign."""
    if math.isnan(value):
        return NOT_RUN
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def p_cell(p: float) -> str:
    """A probability: `0.031`, `<0.001`."""
    if math.isnan(p):
        return NOT_RUN
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def mean(values: Iterable[float]) -> float:
    """Of the values that are defined; nan of none."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan


def sd(values: Iterable[float]) -> float:
    """Standard deviation of the values that are defined; nan of fewer than two."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.stdev(known) if len(known) > 1 else math.nan


_DECIMALS = re.compile(r"(?<==)-?[0-9]+\.?[0-9]*(?:e-?[0-9]+)?(?=,|$)")


def counted(number: int, one: str, several: str = "") -> str:
    """`1 trial`, `2 trials`: a number with its noun, or verb. `several`: where no `s` makes it."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def rounded_name(name: str) -> str:
    """A trial's name, its numbers with four digits: a search draws sixteen."""
    return _DECIMALS.sub(lambda found: f"{float(found[0]):.4g}", name)


def sd_cell(values: Iterable[float]) -> str:
    """`SD 0.012`; `NOT_RUN` where fewer than two values are defined."""
    spread = sd(values)
    return NOT_RUN if math.isnan(spread) else f"SD {spread:.3f}"


@dataclass(frozen=True, slots=True)
class Table:
    """A small table whose cells are formatted already."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    """As many cells per row as there are columns; `NOT_RUN` where there is no value."""
    notes: tuple[str, ...] = ()
    """Sentences about this table's numbers."""
    provenance: tuple[str, ...] = ()
    """Sentences about how the numbers were made; tables of the same trials share them."""
    hidden: frozenset[int] = frozenset()
    """Places of rows that only the CSV has."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: a row has {len(row)} cells for {len(self.columns)} columns"
                )

    def for_people(self) -> Table:
        """The same table without the columns and rows that only the CSV has."""
        kept = [index for index, column in enumerate(self.columns) if not column.csv_only]
        columns = tuple(self.columns[index] for index in kept)
        rows = tuple(
            tuple(row[index] for index in kept)
            for place, row in enumerate(self.rows)
            if place not in self.hidden
        )
        return replace(self, columns=columns, rows=rows, hidden=frozenset())


_MINUS = re.compile(r"(?<![\w.-])-(?=[0-9])")


def typeset(cell: str, column: Column) -> str:
    """A cell as people read it: in numbers, minus signs in place of hyphens."""
    return cell if column.text else _MINUS.sub("−", cell)


def as_text(table: Table, width: int = TEXT_WIDTH) -> str:
    """Monospace: headings broken into lines, numbers to the right, notes folded below.

    `width`: columns to keep within; numbers are never cut, so a table of many may need more.
    """
    table = _typeset(table)
    heading_rows = _heading_rows(table)
    widths = _within(_widths(table), table.columns, width)

    def laid_out(cells: list[str]) -> str:
        parts = [
            _cut(cell, wide).ljust(wide) if column.text else cell.rjust(wide)
            for cell, wide, column in zip(cells, widths, table.columns, strict=True)
        ]
        return (" " * GAP).join(parts).rstrip()

    rule = "-" * (sum(widths) + GAP * (len(widths) - 1))
    out = [*textwrap.wrap(table.title, width), rule]
    out += [laid_out(list(row)) for row in heading_rows]
    out += [rule, *(laid_out(list(row)) for row in table.rows), rule]
    return "\n".join([*out, *bullets((*table.notes, *table.provenance), width)]) + "\n"


def text_widths(table: Table) -> list[int]:
    """Characters that each column takes in `as_text`."""
    return _within(_widths(table), table.columns, TEXT_WIDTH)


def bullets(notes: tuple[str, ...], width: int = TEXT_WIDTH) -> list[str]:
    """Lines of a plain-text list, folded at so many columns."""
    fold = textwrap.TextWrapper(
        width, initial_indent="* ", subsequent_indent="  ", break_on_hyphens=False
    )
    return [line for note in notes for line in fold.wrap(note)]


def as_csv(table: Table) -> str:
    """Comma-separated with one heading line; a value that does not exist is an empty field.

    Cells that a spreadsheet would run as formulas are protected (`csv_cells`).
    Notes have no place in a CSV file. What must not be lost (protocol, weights, data, warnings of a
    row's trial) has separate columns.
    """
    heading = [column.key for column in table.columns]
    rows = (["" if cell == NOT_RUN else cell for cell in row] for row in table.rows)
    return "".join(csv_text([heading, *rows]))


def as_markdown(table: Table) -> str:
    """A pipe table with the notes as a list below."""
    table = _typeset(table)
    out = [f"**{_markdown(table.title)}**", ""]
    out.append("| " + " | ".join(_markdown(column.heading) for column in table.columns) + " |")
    out.append("|" + "|".join("---" if column.text else "---:" for column in table.columns) + "|")
    out += ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in table.rows]
    notes = (*table.notes, *table.provenance)
    if notes:
        out += ["", *(f"- {_markdown(note)}" for note in notes)]
    return "\n".join(out) + "\n"


def as_latex(table: Table) -> str:
    """A `table` environment; the preamble needs `\\usepackage{booktabs,graphicx}`."""
    table = table.for_people()
    alignment = "".join("l" if column.text else "r" for column in table.columns)
    out = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(_caption(table.title))}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(_latex(column.heading) for column in table.columns) + r" \\",
        r"\midrule",
        *(" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    notes = (*table.notes, *table.provenance)
    if notes:
        out += [r"\begin{flushleft}\footnotesize"]
        out += [_latex(note) + r"\par" for note in notes]
        out += [r"\end{flushleft}"]
    return "\n".join([*out, r"\end{table}"]) + "\n"


def _typeset(table: Table) -> Table:
    """For people, with minus signs."""
    shown = table.for_people()
    rows = tuple(
        tuple(typeset(cell, column) for cell, column in zip(row, shown.columns, strict=True))
        for row in shown.rows
    )
    return replace(shown, rows=rows)


def _heading_rows(table: Table) -> list[tuple[str, ...]]:
    heads = [column.heading.split(" ") for column in table.columns]
    depth = max(len(words) for words in heads)
    # they sit at the bottom
    return list(zip(*([""] * (depth - len(words)) + words for words in heads), strict=True))


def _widths(table: Table) -> list[int]:
    columns = zip(*_heading_rows(table), *table.rows, strict=True)
    return [max(map(len, cells)) for cells in columns]


def _within(widths: list[int], columns: tuple[Column, ...], most: int) -> list[int]:
    """Take what exceeds `most` from the widest columns of words; numbers stay whole."""
    excess = sum(widths) + GAP * (len(widths) - 1) - most
    fitted = list(widths)
    words = [place for place, column in enumerate(columns) if column.text]
    while excess > 0 and words:
        widest = max(words, key=lambda place: fitted[place])
        if fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
        excess -= 1
    return fitted


def _cut(cell: str, width: int) -> str:
    """Without its middle where it is too long: names of a sweep's trials differ at their end."""
    if len(cell) <= width:
        return cell
    head = (width - 1) // 2
    return f"{cell[:head]}…{cell[len(cell) - (width - 1 - head) :]}"


FORMATS = {"txt": as_text, "csv": as_csv, "md": as_markdown, "tex": as_latex}
"""File name's ending -> the form it holds."""

_MARKDOWN_SPECIAL = "\\`*_[]<>|"

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after a line's end it would open an optional argument
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "’": "'",
}


def _markdown(text: str) -> str:
    escaped = "".join("\\" + sign if sign in _MARKDOWN_SPECIAL else sign for sign in text)
    return " ".join(escaped.split())  # a line break would end the row


def _caption(title: str) -> str:
    """A title without its number, which LaTeX sets: `... (the paper's Table 1)`."""
    numbered = re.match(r"(Table \d+)\. ", title)
    return title if numbered is None else f"{title[numbered.end() :]} (the paper's {numbered[1]})"


def _latex(text: str) -> str:
    return " ".join("".join(_LATEX_SPECIAL.get(sign, sign) for sign in text).split())


def _latex_cell(cell: str) -> str:
    """A signed number in math mode, so that its minus is no hyphen; everything else as text."""
    if cell[:1] in ("+", "-") and cell[1:].replace(".", "", 1).isdigit():
        return f"${cell}$"
    return _latex(cell)
