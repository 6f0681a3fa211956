"""The numbers of the tables, computed again from the predictions and compared.

Cells that quote the paper or describe a run are not computed.
"""

from __future__ import annotations

from pathlib import Path

from .check import Check, holds_numbers
from .choosing import check_calibration, check_choices
from .discipline import check_discipline
from .formulas import read
from .pairs import check_differences
from .parts import check_baselines, check_case_mix
from .record import read_trials
from .repetitions import check_blocked, check_repetitions
from .scores import check_rows

HERE = Path(__file__).resolve().parents[1]
_CHECKS = (
    check_rows, check_choices, check_calibration, check_differences, check_case_mix,
    check_baselines, check_repetitions, check_blocked, check_discipline,
)  # fmt: skip


def main() -> int:
    """Check every table; returns the exit status."""
    trials = read_trials(HERE)
    tables = HERE / "tables"
    check = Check()
    for each in _CHECKS:
        each(check, tables, trials)
    print(f"{check.same} numbers of {len(trials)} trials agree, {check.wrong} do not")
    for table in sorted(path.stem for path in tables.glob("*.csv")):
        rows = read(tables / f"{table}.csv")
        numbers = [column for column in rows[0] if holds_numbers(rows, column)] if rows else []
        others = [column for column in numbers if column not in check.columns[table]]
        if others:
            all_of_it = "" if check.columns[table] else " (the whole table)"
            print(f"not computed here: {table}: {', '.join(others)}{all_of_it}")
        for row in check.unknown[table]:
            print(f"not computed here: {table}, the row {row}")
    return 1 if check.wrong or not check.same else 0
