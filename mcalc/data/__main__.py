"""`python -m mcalc.data data=cbis_ddsm data.root=PATH`: index a data set and check it.

The one module of this package that imports the command line's composition, which is why nothing
imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from mcalc.compose import compose_config
from mcalc.config import Source
from mcalc.data.cbis_ddsm import check_completeness
from mcalc.data.check import print_check
from mcalc.data.ledger import write_ledger
from mcalc.data.sources import open_source
from mcalc.errors import spoken

USAGE = """usage: python -m mcalc.data [KEY=VALUE ...]

Index a data set and check it: counts against the published ones, and a ledger of every defect.
  python -m mcalc.data data=cbis_ddsm data.root=PATH    a download of CBIS-DDSM
  python -m mcalc.data data=phantom                     the synthetic data set
Settings: data.csv_dir, data.csv_split, data.min_completeness, data.cache (mcalc/config.py).
Exit status: 0 complete enough, 2 not, or a mistake."""


def main(arguments: Sequence[str]) -> None:
    """Check the data set that the overrides name; print to stdout.

    Exits with status 2, and one `error:` line on stderr, where a setting is wrong, the data cannot
    be indexed, or less of it is there than `data.min_completeness` asks for.
    """
    if any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE)
        return
    console = Console()
    with spoken():
        data = compose_config(arguments).data
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task: TaskID = bar.add_task("indexing", total=None)
            index = open_source(
                data, lambda done, total: bar.update(task, completed=done, total=total)
            )
        ledger = write_ledger(index.ledger, Path(data.cache).expanduser() / "ledger.csv")
        print_check(index, console, ledger, published=data.source is Source.cbis_ddsm)
        check_completeness(index, data.min_completeness)


if __name__ == "__main__":
    main(sys.argv[1:])
