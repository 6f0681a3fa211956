"""Signals by which a scheduler takes a machine back: what a command does outside of training.

While it trains, a command stops on a checkpoint instead (`mcalc.training.trajectory`).

While a module is imported, a signal waits for the import's end. An exception within a module in C
becomes `ImportError: initialization failed`, which ends a command with another status, and Python
code tries another module after it; some packages drop every exception of an import.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mcalc.errors import PREEMPTED, PreemptedError

PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Slurm's at a preemption and for `--signal=USR1@120`; Submitit's, by its version."""

_SOON_SECONDS = 0.01
"""After which what dropped an exception has returned, and an import is looked at again."""
_PATIENCE_SECONDS = 20.0
"""For which a signal waits for an import that does not end: after 30 s Slurm kills."""
_IMPORTING = "<frozen importlib._bootstrap>"
"""The file of the functions that import."""

_waiting: dict[int, float] = {}
"""Signals that arrived during an import, with the time of the first of each."""
_dropped: list[BaseException] = []
"""Exceptions that Python dropped."""


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

    def call(number: int, frame: FrameType | None) -> None:
        # loaders' processes inherit it, and Slurm signals all of them
        if os.getpid() == here and not _waits(number, frame):
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

    Ctrl-C too waits for the end of an import.

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

        # not here, where it would be dropped as well
        _dropped.append(error)
        _look_soon()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not _waits(number, frame):
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    interrupts = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    sys.unraisablehook = report
    if interrupts:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        sys.unraisablehook = before
        if interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _waits(number: int, frame: FrameType | None) -> bool:
    """Whether a signal is handled later, as the main thread, which is at `frame`, imports."""
    if not _imports(frame):
        return False
    _waiting.setdefault(number, time.monotonic())
    _look_soon()
    return True


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False


def _look_soon() -> None:
    signal.signal(signal.SIGALRM, _look)
    # again and again: an alarm just before the process sleeps is seen by Python after the sleep
    signal.setitimer(signal.ITIMER_REAL, _SOON_SECONDS, _SOON_SECONDS)


def _look(_number: int, frame: FrameType | None) -> None:
    """Handle what waits, one at a time as each may raise; look again while modules are imported."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    first = min(_waiting.values(), default=time.monotonic())
    if _imports(frame) and time.monotonic() - first < _PATIENCE_SECONDS:
        _look_soon()
        return
    if len(_waiting) + len(_dropped) > 1:
        _look_soon()
    if _dropped:
        raise _dropped.pop(0)
    if _waiting:
        number, _ = _waiting.popitem()
        # whose it is now; without a frame, so that it does not wait again
        handler = signal.getsignal(number)
        if callable(handler):
            handler(number, None)
        else:
            signal.raise_signal(number)


def leave(number: int) -> None:
    """End the process with the status of a preemption.

    By SystemExit, which passes every `except UserError`: it may arrive in the middle of anything.
    """
    print(PreemptedError(number), file=sys.stderr, flush=True)
    raise SystemExit(PREEMPTED)
