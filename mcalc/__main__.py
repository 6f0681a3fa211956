"""`python -m mcalc` and `mcalc`: the commands. `mcalc train ...` is `python -m mcalc.train ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from mcalc.command_line import HELP, run_command
from mcalc.config import COMMANDS
from mcalc.errors import UserError, exit_on_user_error, nearest
from mcalc.leaving import run_as_program

USAGE = """\
usage: mcalc COMMAND [ARGUMENT ...]      (mcalc train is python -m mcalc.train)

{commands}

All commands take the same settings, as key=value (docs/settings.md).
mcalc COMMAND --help says what a command takes, mcalc COMMAND --help all names every setting."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, or list them; returns the exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in HELP:
        lines = [f"  {each.name:<8}{each.line}" for each in COMMANDS.values()]
        print(USAGE.format(commands="\n".join(lines)))
        return 0
    with exit_on_user_error():
        if name not in COMMANDS:
            raise UserError(
                f"unknown command {name!r}{nearest(name, COMMANDS)} (there are "
                f"{', '.join(COMMANDS)})"
            )
    return run_command(name, rest)


def program() -> NoReturn:
    """The console script `mcalc`: the process ends with it."""
    run_as_program(main)


if __name__ == "__main__":
    program()
