"""What the check of a split found, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcalc.data.sources.alike_patients import alike
from mcalc.data.splits.checking.overlap import Comparison
from mcalc.data.splits.checking.rows import SplitRow, SplitRows
from mcalc.errors import shown
from mcalc.iteration import grouped

if TYPE_CHECKING:
    from mcalc.data.splits.checking.pixels import Pixels

EXAMPLES = 3
"""Names that are shown of what there may be hundreds of."""
_LABELS = 6
"""Labels whose shares are shown."""


def print_reading(read: SplitRows, console: Console) -> None:
    """What the columns were taken for."""
    for name, said in read.says.items():
        _line(console, f"{name}, read as")
        for each in said:
            _line(console, f"  {each}")


def print_parts(rows: Sequence[SplitRow], parts: Sequence[str], console: Console) -> None:
    """Rows, images, patients and labels of each part."""
    table = Table(title="Parts", title_justify="left")
    table.add_column("part")
    for name in ("rows", "images", "patients"):
        table.add_column(name, justify="right")
    table.add_column("labels")
    for part in parts:
        own = [row for row in rows if row.part == part]
        images = {row.image for row in own} - {None}
        patients = {row.patient for row in own} - {None}
        table.add_row(
            part, str(len(own)), str(len(images) or "not known"), str(len(patients)),
            escape(_labels(own)),
        )  # fmt: skip
    console.print(table)
    without = [row for row in rows if row.part is None]
    if without:
        _line(console, f"{_rows(len(without))} of no part, not compared: {_places(without)}")


def print_pixels(pixels: Pixels, rows: Sequence[SplitRow], console: Console) -> None:
    """How many images were decoded, and why others were not."""
    total = sum(row.part is not None for row in rows)
    reasons = {
        "not in this data": pixels.missing,
        "not readable": pixels.unreadable,
        "blank": pixels.blank,
    }
    others = "".join(f"; {number} {reason}" for reason, number in reasons.items() if number)
    _line(console, f"Pixels compared of {len(pixels.digests)} of {total} rows{others}")


def print_comparison(found: Comparison, console: Console) -> None:
    """What two parts have in common, worst first; a line where that is nothing."""
    title = f"{found.before} / {found.held_out}"
    if not found.leaks:
        known = [each.level for each in found.overlaps if each.known]
        said = f"{title}: nothing on both sides ({', '.join(known) or 'nothing known'})"
        console.print(escape(_plain(said)))
        return
    table = Table(title=f"{title}: on both sides", title_justify="left")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column(f"rows of {found.held_out}", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("the first")
    for each in found.overlaps:
        if not each.known:
            table.add_row(each.level, "not known", "", "", "")
            continue
        table.add_row(
            each.level,
            str(len(each.shared)),
            f"{each.rows} of {found.total}",
            f"{each.rows / found.total:.1%}",
            escape(_some(each.shared)),
        )
    console.print(table)
    partly = [each for each in found.overlaps if 0 < each.known < found.total]
    for number, some in grouped(partly, lambda each: each.known).items():
        levels = ", ".join(each.level for each in some)
        _line(console, f"known of {number} of {_rows(found.total)} of {found.held_out}: {levels}")


def print_notes(rows: Sequence[SplitRow], console: Console) -> None:
    """What is odd about the rows and no leakage by itself."""
    inside = [row for row in rows if row.part is not None]
    unread = [row for row in inside if row.patient is None]
    if unread:
        _note(console, f"the patient of {_rows(len(unread))} cannot be read: {_places(unread)}")
    odd = [row for row in inside if row.contradiction]
    if odd:
        first = f"{odd[0].where}: {odd[0].contradiction}"
        says = "contradicts itself" if len(odd) == 1 else "contradict themselves"
        _note(console, f"{_rows(len(odd))} {says}, the first in {first}")
    repeated = _repeated(inside)
    if repeated:
        examples = _some([row.name for row in repeated])
        says = "repeats" if len(repeated) == 1 else "repeat"
        _note(console, f"{_rows(len(repeated))} {says} an image of their own part: {examples}")
    differing = _differing(inside)
    if differing:
        films = (
            " (a mammogram may show several)" if any(r.number is None for r in differing) else ""
        )
        number = "1 image has" if len(differing) == 1 else f"{len(differing)} images have"
        examples = _some([row.name for row in differing])
        _note(console, f"{number} rows of different labels{films}: {examples}")
    for group in _alike(inside):
        _note(
            console,
            f"patients {_some(group)} stand in different parts and differ only in how they are "
            "written; if they are one person, this leaks too",
        )


def _labels(rows: Sequence[SplitRow]) -> str:
    counts = Counter(row.label for row in rows)
    if set(counts) <= {""}:
        return "not known"
    parts = [
        f"{_plain(label) or 'none'} {number} ({number / len(rows):.1%})"
        for label, number in counts.most_common(_LABELS)
    ]
    more = len(counts) - _LABELS
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _repeated(rows: Iterable[SplitRow]) -> list[SplitRow]:
    """Rows of an image that an earlier row of their part has."""
    groups = grouped(rows, lambda row: (row.part, row.image))
    return [row for (_, image), group in groups.items() if image is not None for row in group[1:]]


def _differing(rows: Iterable[SplitRow]) -> list[SplitRow]:
    """A row of each image that has several labels."""
    groups = grouped(rows, lambda row: row.image)
    return [
        group[0]
        for image, group in groups.items()
        if image is not None and len({row.label for row in group} - {""}) > 1
    ]


def _alike(rows: Iterable[SplitRow]) -> list[list[str]]:
    """Patients of different parts whose ids differ only in how they are written."""
    parts: dict[str, set[str | None]] = {}
    for row in rows:
        if row.patient is not None:
            parts.setdefault(row.patient, set()).add(row.part)
    return [
        group for group in alike(parts) if len(set().union(*(parts[name] for name in group))) > 1
    ]


def _some(names: Sequence[str]) -> str:
    more = len(names) - EXAMPLES
    listed = ", ".join(_plain(name) for name in islice(names, EXAMPLES))
    return f"{listed} and {more} more" if more > 0 else listed


def _places(rows: Sequence[SplitRow]) -> str:
    return _some([f"{row.where} ({shown(row.id, 40)})" if row.id else row.where for row in rows])


def _rows(number: int) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"


def _plain(text: str) -> str:
    """Text of a file without signs that would move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _note(console: Console, text: str) -> None:
    console.print(f"[bold]Note:[/] {escape(_plain(text))}")


def _line(console: Console, text: str) -> None:
    # soft wrap: a path broken over two lines cannot be copied
    console.print(escape(_plain(text)), soft_wrap=True)
