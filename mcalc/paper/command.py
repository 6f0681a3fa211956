"""The paper command: what the paper's own numbers show, and what they cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

from mcalc.config import Line
from mcalc.data.sources.cbis_ddsm import read_all_cases
from mcalc.report.audit import audit
from mcalc.report.formats import TEXT_WIDTH, as_text

NARROWEST = 80
"""Columns of a terminal that the tables need."""


def run(line: Line) -> int:
    """Print the audit to stdout; returns the exit status.

    The four case CSVs are read from `data.csv_dir`, or from `data.root` or its `csv` folder. Where
    neither is set, what needs them is left out. Raises UserError as `read_all_cases`.
    """
    data = line.config().data
    cases = None
    if data.csv_dir:
        cases = read_all_cases([Path(data.csv_dir).expanduser()])
    elif data.root:
        root = Path(data.root).expanduser()
        cases = read_all_cases([root, root / "csv"])
    columns = shutil.get_terminal_size((TEXT_WIDTH, 24)).columns
    width = min(max(columns, NARROWEST), TEXT_WIDTH)
    for table in audit(cases).values():
        print(as_text(table, width))
    return 0
