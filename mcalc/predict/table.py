"""What networks say of images, as rows: CSV or JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from mcalc.csv_cells import csv_text

BENIGN, MALIGNANT = "benign", "malignant"


@dataclass(frozen=True)
class Row:
    """What is said of one image. What is not known is None."""

    id: str
    """Its file as the user named it, or its id in a data set."""
    probability: float | None = None
    """Of malignant, 0..1, as the network states it."""
    calibrated_probability: float | None = None
    """After temperature scaling, where a temperature is fitted."""
    log_odds: float | None = None
    called: str | None = None
    """`malignant` where the log odds are above the operating point, else `benign`."""
    threshold: float | None = None
    """The operating point as a probability."""
    flags: tuple[str, ...] = ()
    """In what it is unlike all that the network was trained on."""
    refused: str | None = None
    """Why nothing is said of it."""
    label: str | None = None
    """The verified diagnosis, where it is known."""
    patient: str | None = None
    unit: str | None = None


def as_csv(rows: Sequence[Row], *, labelled: bool) -> str:
    """A table with a header; several flags are divided by semicolons."""
    names = column_names(labelled=labelled)
    lines = [names, *([_cell(asdict(row)[name]) for name in names] for row in rows)]
    return "".join(csv_text(lines))


def as_json_lines(rows: Sequence[Row], *, labelled: bool) -> str:
    """An object for each image, each on a line."""
    return "".join(_json_lines(rows, column_names(labelled=labelled)))


def _json_lines(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    for row in rows:
        values = asdict(row)
        content = {name: values[name] for name in names}
        yield json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def column_names(*, labelled: bool) -> list[str]:
    """Of the table, in order."""
    names = [field.name for field in fields(Row)]
    return names if labelled else names[: names.index("label")]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "; ".join(value)
    return repr(value) if isinstance(value, float) else str(value)


def known(value: float) -> float | None:
    """The number, or None for nan."""
    return None if math.isnan(value) else value
