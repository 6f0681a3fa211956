"""A PostgreSQL server that is stopped for a minute while a sweep trains."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from durability.proof import Result, Undisturbed, copied, ended, last_line, settled


def cases(reference: Undisturbed, folder: Path, away: float) -> Iterator[Callable[[], Result]]:
    """The one case. `away`: for how many seconds."""
    yield partial(_stopped, reference, folder / "postgres", away)


def _stopped(reference: Undisturbed, folder: Path, away: float) -> Result:
    from sweep.test_postgres import Server, programs

    case = f"stopped for {away:.0f} s"
    found = programs()
    if found is None:
        why = "PostgreSQL is not installed: `apt-get install postgresql`"
        return Result("postgres", case, skipped=why)
    # not below the caller's folder, which its user may not enter
    home = Path(tempfile.mkdtemp(prefix="mcalc-postgres-"))
    server = Server(found, home)
    try:
        place = copied(reference, folder, ".cache")
        place.further = (f"storage={server.database('proof')}", f"storage_wait={2 * away + 60:.0f}")
        started = place.sweep()
        half = reference.sweep.counts["training"] // 3
        while place.life().counts["training"] < half and started.poll() is None:
            time.sleep(0.05)
        server.stop()
        began = time.monotonic()
        wrong = [] if started.poll() is None else ["ended before the server was stopped"]
        while time.monotonic() - began < away and started.poll() is None:
            time.sleep(0.2)
        server.start()
        status, said = ended(started)
        if status != 0 or "Traceback" in said:
            wrong.append(f"ended with {status}: {last_line(said)}")
        wrong += settled(place, reference.facts)
        return Result("postgres", case, tuple(wrong), folder=folder)
    finally:
        subprocess.run(
            [str(found / "pg_ctl"), "-D", server.data, "-m", "immediate", "stop"],
            user=server.user if os.geteuid() == 0 else None,
            cwd=home,
            capture_output=True,
        )
        shutil.rmtree(home, ignore_errors=True)
