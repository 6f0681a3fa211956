"""Files of a report: replaced whole or not at all, in a folder that the user named."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from mcalc.atomic_write import write_binary, write_text
from mcalc.errors import UserError
from mcalc.report.formats import FORMATS, Table


def save_text(path: Path, text: str) -> None:
    """Write a file. Raises UserError where the folder or the file cannot be written."""
    try:
        with write_text(path) as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path, error) from error


def save_tables(folder: Path, tables: Mapping[str, Table]) -> None:
    """Each table in every form. Raises UserError as `save_text`."""
    for name, table in tables.items():
        for ending, form in FORMATS.items():
            save_text(folder / f"{name}.{ending}", form(table))


def save_figure(path: Path, figure: Figure, dpi: int = 150) -> None:
    """A figure as PNG. Raises UserError as `save_text`."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    try:
        with write_binary(path) as file:
            file.write(drawn.getvalue())
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> UserError:
    """The error that a file of the report cannot be written."""
    return UserError(
        f"cannot write {path}: {error.strerror or error}; name a folder you may write to with "
        "out=PATH"
    )
