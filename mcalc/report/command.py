"""The report command: says at once where there is nothing to report, else writes the report."""

from __future__ import annotations

from mcalc.config import Line
from mcalc.tracking.places import refuse_nothing


def run(line: Line) -> int:
    """Print tables and write the report; returns the exit status.

    Raises UserError as `write_report`.
    """
    refuse_nothing(line.config().tracking)
    # late: MLflow, SciPy and matplotlib, which take seconds
    from mcalc.report.writing import write_report

    return write_report(line)
