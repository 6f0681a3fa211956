"""Runs a command: its help, its arguments, its work, and how it ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from types import TracebackType

from mcalc.config import COMMANDS
from mcalc.errors import exit_on_user_error
from mcalc.preemption import raised_again
from mcalc.secret_text import addresses_of, hidden
from mcalc.user_cache import keep_compiled_here

HELP = ("-h", "--help", "help")
"""Arguments that ask for help."""


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run one of the commands of `mcalc.config.commands`; returns its exit status.

    Ends the process with status 2 for a mistake of the user's, and 130 for Ctrl-C. What the work
    needs is imported after the arguments are checked, as torch alone takes seconds to import.
    """
    command = COMMANDS[name]
    sys.excepthook = partial(_unexpected, tuple(arguments))
    try:
        with raised_again(), exit_on_user_error():
            if any(each in HELP for each in arguments) or (command.actions and not arguments):
                from mcalc.config import command_help, every_setting

                _show(every_setting() if "all" in arguments else command_help(command))
                return 0
            from mcalc.config import read_line
            from mcalc.logs import log_to_console

            line = read_line(command, arguments)
            log_to_console()
            keep_compiled_here()
            status: int = import_module(command.module).run(line)
            return status
    except KeyboardInterrupt:
        # help and a plan leave nothing that could be resumed
        begun = not {*HELP, "dry_run=true", "--cfg"}.intersection(arguments)
        after = command.after_interrupt if begun else ""
        print(f"interrupted{after}", file=sys.stderr)
        raise SystemExit(130) from None
    raise AssertionError("exit_on_user_error() ends the process on an error")


def _unexpected(
    arguments: Sequence[str],
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    """Print an error that nobody foresaw as Python does, without a password that it repeats."""
    text = "".join(traceback.format_exception(kind, error, trace))
    print(hidden(text, *addresses_of(arguments)), end="", file=sys.stderr)


def _show(text: str) -> None:
    """Print, also to a reader such as `head` that closes its end before all is printed."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
