"""Odd surroundings: read-only folders, no HOME, a clock that goes back, unusual names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from durability.disk import may_mount
from durability.instants import Instant
from durability.proof import (
    LONGEST_SECONDS,
    ROOT,
    SWEEP,
    Result,
    Undisturbed,
    Workplace,
    copied,
    ended,
    last_line,
    settled,
)

UNICODE = "ünï cödé – 乳 房 ' # % ? &"
LONG_NAME = "ä" * 120 + "long  255 bytes"
"""A folder's name of as many bytes as a file system takes."""


def cases(reference: Undisturbed, folder: Path) -> Iterator[Callable[[], Result]]:
    """Every one of them."""
    yield partial(_read_only, reference, folder / "read-only")
    yield partial(_no_home, reference, folder / "no-home")
    yield partial(_clock_back, reference, folder / "clock")
    yield partial(_named, reference, folder / "unicode" / UNICODE, "unicode, spaces, # % ?")
    assert len(LONG_NAME.encode()) == 255
    yield partial(_named, reference, folder / "long" / LONG_NAME, "a folder's name of 255 bytes")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder on which nobody may write, not even root."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        command = ["mount", "-o", "remount,bind,ro", str(folder)]
        subprocess.run(command, check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _read_only(reference: Undisturbed, folder: Path) -> Result:
    """Data and the working folder cannot be written; the record and the cache lie elsewhere."""
    case = "read-only data root and working folder"
    folder.mkdir(parents=True)
    if not may_mount(folder):
        return Result("surroundings", case, skipped="nothing may be mounted here (root only)")
    (data,) = (reference.place.folder / ".cache").glob("phantom-*")
    shutil.copytree(data, folder / "data")
    work = folder / "work"
    work.mkdir()
    further = (
        f"data.root={folder / 'data'}",
        f"data.cache={folder / 'elsewhere' / '.cache'}",
        f"tracking.dir={folder / 'elsewhere' / 'mlruns'}",
    )
    place = Workplace(
        work,
        further,
        {"TMPDIR": str(folder / "tmp")},
        record_folder=folder / "elsewhere" / "mlruns",
        aside=folder / "notes",
    )
    (folder / "tmp").mkdir()
    with read_only(work), read_only(folder / "data"):
        status, said = ended(place.sweep())
        wrong = [] if status == 0 else [f"ended with {status}: {last_line(said)}"]
        wrong += settled(place, reference.facts)
        refused, said = ended(
            place.start("mcalc.train", "-m", *SWEEP, "tracking.dir=mlruns", "data.cache=.cache")
        )
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        if refused != 2 or len(errors) != 1 or "Traceback" in said:
            wrong.append(f"a record that cannot be written: {refused}, {last_line(said)}")
    return Result("surroundings", case, tuple(wrong), folder=folder)


def _no_home(reference: Undisturbed, folder: Path) -> Result:
    """HOME is unset, in a process whose user is the one who has it."""
    place = copied(reference, folder, ".cache")
    place.without = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "USER", "LOGNAME")
    status, said = ended(place.sweep())
    wrong = [] if status == 0 else [f"ended with {status}: {last_line(said)}"]
    wrong += settled(place, reference.facts)
    return Result("surroundings", "HOME unset", tuple(wrong), folder=folder)


def _clock_back(reference: Undisturbed, folder: Path) -> Result:
    """A sweep is killed, and resumed with a clock that is a year behind (libfaketime)."""
    case = "clock set back a year between two commands"
    if shutil.which("faketime") is None:
        why = "libfaketime is not installed: `apt-get install faketime`"
        return Result("surroundings", case, skipped=why)
    place = copied(reference, folder, ".cache")
    number = reference.sweep.counts["training"] // 2
    ended(place.sweep(Instant("training", number)))
    done = _interpreter(place, ["faketime", "-f", "-365d"], SWEEP)
    wrong = [] if done[0] == 0 else [f"ended with {done[0]}: {last_line(done[1])}"]
    wrong += settled(place, reference.facts)
    return Result("surroundings", case, tuple(wrong), folder=folder)


def _interpreter(place: Workplace, before: Sequence[str], sweep: Sequence[str]) -> tuple[int, str]:
    """The sweep's command in a new interpreter: a fork has its libraries loaded already."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "mcalc.train", "-m", *sweep],
        cwd=place.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def _named(reference: Undisturbed, folder: Path, case: str) -> Result:
    """All that is written lies below a folder of that name, and a kill is resumed there."""
    place = Workplace(folder)
    status, said = ended(place.sweep(Instant("checkpoint", 20)))
    wrong = [] if status == -9 else [f"ended with {status}: {last_line(said)}"]
    wrong += place.until_done() or settled(place, reference.facts)
    return Result("surroundings", case, tuple(wrong), folder=folder.parent)
