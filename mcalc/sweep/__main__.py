"""`python -m mcalc.sweep`: look at recorded sweeps without running any.

The commands of `mcalc.sweep.command`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from mcalc.command_line import run_command
from mcalc.leaving import run_as_program


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    return run_command("sweep", arguments)


if __name__ == "__main__":
    run_as_program(partial(main, sys.argv[1:]))
