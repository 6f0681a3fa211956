"""A scheduler's signal to the command that started a launcher's jobs, passed on to those jobs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from mcalc.errors import CutOffError, PreemptedError
from mcalc.preemption import handled, leave
from mcalc.sweep.store import Leases

_LOOK_SECONDS = 1.0


@contextmanager
def passing_on(leases: Leases) -> Iterator[None]:
    """While inside, let a signal stop the workers below this process, each on a checkpoint.

    When they have ended, the end of the block raises PreemptedError. Where none is below this
    process, as the jobs are a cluster's, it ends at once, and so it does by a second signal.
    """
    seen: list[int] = []
    ended = threading.Event()

    def stop(number: int) -> None:
        if seen:
            leave(number)
        seen.append(number)
        # not here: the signal may have interrupted a query of the store
        threading.Thread(target=_tell_workers, args=(leases, number, ended), daemon=True).start()

    try:
        with handled(stop):
            yield
    finally:
        ended.set()
    if seen:
        raise PreemptedError(seen[0])


def _tell_workers(leases: Leases, number: int, ended: threading.Event) -> None:
    """Signal each worker below this process once, also those that begin their work later."""
    told: set[int] = set()
    while True:
        for process in _workers_below(leases) - told:
            told.add(process)
            with suppress(ProcessLookupError):
                # SIGTERM, which puts no job of Submitit back into its queue
                os.kill(process, signal.SIGTERM)
        if not told:
            os.kill(os.getpid(), number)
        if not told or ended.wait(_LOOK_SECONDS):
            return


def _workers_below(leases: Leases) -> set[int]:
    below = {child.pid for child in psutil.Process().children(recursive=True)}
    try:
        owners = leases.owners().values()
    except CutOffError:
        return set()  # the store is away, and nobody is known
    return {owner.process for owner in owners if owner.host == socket.gethostname()} & below
