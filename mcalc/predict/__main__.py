"""`python -m mcalc.predict`: probabilities of images by networks of the record.

The command of `mcalc.predict.command`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from mcalc.command_line import run_command
from mcalc.leaving import run_as_program


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    return run_command("predict", arguments)


if __name__ == "__main__":
    run_as_program(partial(main, sys.argv[1:]))
