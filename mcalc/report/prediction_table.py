"""Predictions of others, from a CSV file, to be compared with recorded ones."""

from __future__ import annotations

import math
from pathlib import Path

from mcalc.csv_table import read_table
from mcalc.errors import UserError

COLUMNS = ("id", "probability")


def read_prediction_table(path: Path) -> dict[str, float]:
    """Lesion id -> probability of malignant, 0..1.

    Columns `id` and `probability`; an id is that of a lesion, or of a scoring unit, as in
    predictions.csv of a recorded trial.

    Raises UserError, with its row, for a probability that is none and for an id that stands twice.
    """
    found: dict[str, float] = {}
    for row in read_table(path, COLUMNS, remedy="save it as CSV with the columns id,probability"):
        name, text = row.values["id"], row.values["probability"]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise UserError(
                f"{path} row {row.number}: probability {text!r} of {name!r}: expected a number "
                "from 0 to 1, the probability of malignant"
            )
        if name in found:
            raise UserError(f"{path} row {row.number}: {name!r} stands twice: give each id once")
        found[name] = value
    if not found:
        raise UserError(f"{path} has a header but no rows: expected one row a lesion")
    return found
