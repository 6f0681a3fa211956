"""The paper command: what the paper's own numbers show, and what they cannot."""

from __future__ import annotations

import textwrap
from pathlib import Path

from mcalc.config import Line
from mcalc.data.sources.cbis_ddsm import read_all_cases

_WITHOUT_CASES = (
    "next: `python -m mcalc.paper data.csv_dir=PATH`, with the four case CSVs of CBIS-DDSM, adds "
    "what they can tell"
)
_AFTER = "next: `make tables` sets rows trained here beside the paper's"


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
    # late: scipy
    from mcalc.report.audit import audit
    from mcalc.report.printing import print_table, printed_width

    for table in audit(cases).values():
        print_table(table)
    after = _AFTER if cases else _WITHOUT_CASES
    print(textwrap.fill(after, printed_width(), break_long_words=False, break_on_hyphens=False))
    return 0
