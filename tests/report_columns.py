"""Cells of a report's table, for tests (found by pytest's `pythonpath`)."""

from __future__ import annotations

from mcalc.report.formats import Table


def column(table: Table, key: str) -> tuple[str, ...]:
    """The cells of one column."""
    index = [column.key for column in table.columns].index(key)
    return tuple(row[index] for row in table.rows)
