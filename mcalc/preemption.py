"""Signals by which a scheduler takes a machine back: what a command does outside of training.

While it trains, a command stops on a checkpoint instead (`mcalc.training.trajectory`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mcalc.errors import PREEMPTED, PreemptedError

PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Slurm's at a preemption and for `--signal=USR1@120`; Submitit's, by its version."""

_SOON_SECONDS = 0.01
"""After which what dropped an exception has returned."""


@contextmanager
def handled(
    handle: Callable[[int], None], signals: tuple[signal.Signals, ...] = PREEMPTING
) -> Iterator[Callable[[], None]]:
    """While inside, call `handle` with the number of each signal that arrives.

    Signals that are ignored stay so. Gives a function that puts the earlier handlers back, as the
    end of the block does. In a thread beside the main one, nothing happens: Python allows it there
    alone.
    """
    before: dict[signal.Signals, signal._HANDLER] = {}

    here = os.getpid()

    def call(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == here:  # loaders' processes inherit it, and Slurm signals all of them
            handle(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():
        for number in signals:
            handler = signal.getsignal(number)
            # None: set by a library in C, which could not be put back
            if handler not in (signal.SIG_IGN, None):
                before[number] = handler
                signal.signal(number, call)
    try:
        yield restore
    finally:
        restore()


@contextmanager
def raised_again() -> Iterator[None]:
    """While inside, an end that a signal asks for is raised again where Python dropped it.

    A handler runs between any two instructions of the main thread, so also in a `__del__` or in a
    callback of a weak reference. Python lets no exception out of these, but reports it to
    `sys.unraisablehook`. Importing modules, which takes seconds, calls such callbacks throughout.
    """
    before = sys.unraisablehook

    def report(dropped: sys.UnraisableHookArgs) -> None:
        error = dropped.exc_value
        if not isinstance(error, KeyboardInterrupt | SystemExit):
            before(dropped)
            return

        def again(_number: int, _frame: FrameType | None) -> None:
            raise error

        # not here, where it would be dropped as well
        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, _SOON_SECONDS)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before


def leave(number: int) -> None:
    """End the process with the status of a preemption.

    By SystemExit, which passes every `except UserError`: it may arrive in the middle of anything.
    """
    print(PreemptedError(number), file=sys.stderr, flush=True)
    raise SystemExit(PREEMPTED)
