"""The check of anybody's split: read, compare, print, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mcalc.data.records import Lesion
from mcalc.data.splits.checking.columns import Given
from mcalc.data.splits.checking.overlap import Comparison, compare
from mcalc.data.splits.checking.parts import ordered
from mcalc.data.splits.checking.printing import (
    print_comparison,
    print_notes,
    print_parts,
    print_pixels,
    print_reading,
)
from mcalc.data.splits.checking.rows import SplitRow, read_rows
from mcalc.errors import UserError
from mcalc.iteration import Progress

CLEAN, LEAKS = 0, 1
"""Exit statuses; mistakes have 2."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user said of the columns; None where nothing was said."""

    id: str | None = None
    label: str | None = None
    split: str | None = None
    patient: str | None = None
    parts: str | None = None
    """What values of the split column mean, as in `parts_of_values`."""


def check_split(
    files: str,
    columns: Columns,
    console: Console,
    lesions: Callable[[], Sequence[Lesion]] | None = None,
    progress: Progress | None = None,
) -> int:
    """Print who stands on both sides of a split; return the exit status.

    Args:
        files: a CSV with a column of parts, or one for each part with commas between.
        columns: what the user said of them.
        console: printed to.
        lesions: gives the images of the data set, to look for identical pixels; None where no data
            set was named.
        progress: called while images are decoded.

    Returns:
        `LEAKS` where anything stands on both sides; else `CLEAN`.

    Raises:
        UserError: a file or a column cannot be read, all rows are in one part, or nothing was found
            on both sides but some rows could not be compared.
    """
    named = Given(columns.id, columns.label, columns.split, columns.patient)
    read = read_rows(_paths(files), named, columns.parts)
    rows = read.rows
    parts = ordered(row.part for row in rows if row.part is not None)
    if len(parts) < 2:
        raise UserError(
            f"{files}: " + (f"all rows are in one part, {parts[0]}" if parts else "no row has a "
            "part") + ": expected two or more, of which one is held out"
        )  # fmt: skip
    # before anything is printed: the data may not be there
    here = lesions() if lesions is not None else None
    print_reading(read, console)
    print_parts(rows, parts, console)
    pixels = None
    if here is None:
        console.print("Identical pixels were not looked for: data=NAME data.root=PATH names images")
    else:
        # late: NumPy and decoders, of no use without images
        from mcalc.data.splits.checking.pixels import decode

        decoded = decode(rows, here, progress)
        print_pixels(decoded, rows, console)
        pixels = decoded.digests
    found = compare(rows, pixels)
    for comparison in found:
        print_comparison(comparison, console)
    print_notes(rows, console)
    return _verdict(rows, found, console, looked_at_pixels=here is not None)


def _paths(files: str) -> list[Path]:
    """One file whose name may hold commas, or several."""
    whole = Path(files).expanduser()
    if whole.exists() or "," not in files:
        return [whole]
    paths = [Path(each.strip()).expanduser() for each in files.split(",")]
    if len(set(paths)) < len(paths):
        raise UserError(f"check_split={files} names one file twice: each file is one part")
    return paths


def _verdict(
    rows: Sequence[SplitRow],
    found: Sequence[Comparison],
    console: Console,
    looked_at_pixels: bool,
) -> int:
    leaking = [f"{each.before} / {each.held_out}" for each in found if each.leaks]
    if leaking:
        console.print(f"[bold red]LEAKAGE[/] between {', '.join(leaking)}.")
        return LEAKS
    inside = [row for row in rows if row.part is not None]
    unknown = [row for row in inside if row.patient is None or row.contradiction]
    if unknown:
        raise UserError(
            f"nothing was found on both sides, but the patient of {len(unknown)} of {len(inside)} "
            f"rows is not known for certain (the first: {unknown[0].where}), so the split cannot "
            "be called clean: name the column with patient=COL, or correct or remove these rows"
        )
    what = "patient" if all(row.image is None for row in inside) else "patient or image"
    pixels = "; no identical pixels" if looked_at_pixels else ""
    console.print(f"[bold green]Clean[/]: no {what} stands in two parts{pixels}.")
    return CLEAN
