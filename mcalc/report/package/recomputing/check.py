"""Cells of tables compared with what is computed."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from .formulas import Row, plain

NUMBER = set("0123456789.,+-\u2212\u2013<toSDe ")
"""What cells of numbers and intervals are made of."""
NOT_COMPUTED = ("stratum", "patience", "weight_lr", "bias_lr", "weight_l2")
"""Columns of numbers that describe what was run."""
_ONE = re.compile(r"-?(?:[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?|inf)")


class Check:
    """Counts cells that agree, and prints those that do not."""

    def __init__(self) -> None:
        self.same, self.wrong = 0, 0
        self.columns: dict[str, set[str]] = defaultdict(set)
        """Of each table those that were looked at."""
        self.unknown: dict[str, list[str]] = defaultdict(list)
        """Of each table the rows of which the archive lacks what they are computed from."""

    def cell(self, table: str, row: str, column: str, stored: str, computed: float) -> None:
        """Compare a number as the table rounds it; nan is an empty cell."""
        stored = plain(stored or "").replace("\u2212", "-")
        self._count(table, row, column, stored, _agrees(stored, computed), f"{computed}")

    def cells(self, table: str, name: str, row: Row, computed: dict[str, float]) -> None:
        """Compare several cells of a row, by their columns."""
        for column, value in computed.items():
            self.cell(table, name, column, row[column], value)

    def interval(self, table: str, row: str, column: str, stored: str, *computed: float) -> None:
        """Compare the numbers that a text holds: both ends, or one SD; nan is an empty cell."""
        stored = plain(stored or "").replace("\u2212", "-")
        bare = stored.removeprefix("SD ").replace(" to ", "\u2013")
        parts = bare.split("\u2013") if bare else [""] * len(computed)
        ok = len(parts) == len(computed) and all(map(_agrees, parts, computed))
        if any(map(math.isnan, computed)):
            ok = not stored
        self._count(table, row, column, stored, ok, " ".join(map(str, computed)))

    def skip(self, table: str, row: str) -> None:
        """Note a row that nothing is computed of."""
        self.unknown[table].append(row)

    def _count(
        self, table: str, row: str, column: str, stored: str, agrees: bool, computed: str
    ) -> None:
        self.columns[table].add(column)
        if agrees and not stored:
            return
        self.same += agrees
        if not agrees:
            self.wrong += 1
            shown = stored or "nothing"
            print(f"DIFFERS {table} {row} {column}: {shown}, computed {computed}")


def _agrees(stored: str, computed: float) -> bool:
    if not stored:
        return math.isnan(computed)
    if stored.startswith("<"):
        return computed < float(stored[1:])
    if not _ONE.fullmatch(stored.removeprefix("+")):
        return False
    value = float(stored)
    digits = len(stored.partition(".")[2])
    # the last digit may round either way, and optimisers differ in the seventh
    room = 0.5000001 * 10.0**-digits + 2e-6 * abs(computed)
    return value == computed or abs(value - computed) <= room


def holds_numbers(rows: Sequence[Row], column: str) -> bool:
    """Whether a column has results: numbers, intervals, and nothing else.

    Settings (`head.weight_lr`), the parts of the case mix (`5` of subtlety) and what the paper
    printed are none.
    """
    if "." in column or column in NOT_COMPUTED or column.endswith("_paper"):
        return False
    cells = [plain(row.get(column) or "") for row in rows]
    known = [cell for cell in cells if any(sign.isdigit() for sign in cell)]
    return bool(known) and all(not set(cell) - NUMBER for cell in known)
