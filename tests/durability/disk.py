"""A disk that fills in each writing stage; then room, and the same command.

The record, cache and report lie on a small disk of their own (tmpfs), which a file fills at the
instant. Where nothing may be mounted, files may not grow beyond a limit instead.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from durability.instants import Instant
from durability.proof import (
    REPORT,
    Result,
    Undisturbed,
    Workplace,
    ended,
    last_line,
    settled,
    tables,
)

STAGES = ("start-up", "tables", "data", "checkpoint", "MLflow", "Optuna", "artifacts", "report")
SIZE = "96m"
_FILE_LIMIT = 400_000
_MESSAGES = ("no space", "make room", "free some space", "cannot be written", "cannot write")


def cases(reference: Undisturbed, folder: Path) -> Iterator[Callable[[], Result]]:
    """Each stage, where a small disk may be mounted; else a file-size limit."""
    if not may_mount(folder):
        yield partial(_limited, reference, folder / "limited")
        for stage in STAGES:
            why = "no small disk may be mounted here (root only)"
            yield partial(Result, "disk", f"full in {stage}", skipped=why)
        return
    for stage in STAGES:
        yield partial(_filled, reference, folder / f"full-{stage}", stage)


def may_mount(folder: Path) -> bool:
    """Whether this user may mount a tmpfs."""
    place = folder / "mounts"
    try:
        with small_disk(place):
            return True
    except OSError:
        return False
    finally:
        place.rmdir()


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of `SIZE` at a folder. Raises OSError where none may be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(done.stderr)
    try:
        yield place
    finally:
        # lazily, as a process may still end
        subprocess.run(["umount", "-l", str(place)], check=True)


def _filled(reference: Undisturbed, folder: Path, stage: str) -> Result:
    with small_disk(folder / "disk") as disk:
        # what the command prints goes elsewhere, as to a terminal
        place = Workplace(disk, aside=folder)
        filler = disk / "filler"
        wrong: list[str] = []
        in_report = stage == "report"
        if in_report:
            # a copy, as the tables name the runs
            shutil.copytree(reference.place.record, place.record)
        life = reference.report if in_report else reference.sweep
        number = 1 if stage in ("start-up", "report") else max(1, life.counts[stage] // 2)
        instant = Instant(stage, number, blow=f"fill:{filler}")
        if in_report:
            status, said = place.run("mcalc.report", *REPORT, instant=instant)
        else:
            status, said = ended(place.sweep(instant))
        wrong += _message(stage, status, said)
        filler.unlink(missing_ok=True)
        if in_report:
            status, said = place.run("mcalc.report", *REPORT)
            if status != 0 or tables(place) != reference.tables:
                wrong.append(f"the report, again: {status}, {last_line(said)}")
        else:
            wrong += place.until_done()
        wrong += settled(place, reference.facts)
        if wrong:
            shutil.copytree(disk, folder / "kept", dirs_exist_ok=True)
        return Result("disk", f"full in {stage}", tuple(wrong), folder=folder)


def _message(stage: str, status: int, said: str) -> list[str]:
    """What is wrong with the end of a command on a full disk."""
    if stage == "checkpoint" and status == 0:
        # a run goes on without checkpoints as long as its record can be written
        return [] if "no checkpoint at iteration" in said else ["the disk was never full"]
    wrong = []
    if status != 2:
        wrong.append(f"ended with {status}, not 2: {last_line(said)}")
    if "Traceback" in said:
        wrong.append(f"printed a traceback: {last_line(said)}")
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if len(errors) != 1 or not any(text in errors[0] for text in _MESSAGES):
        wrong.append(f"said {errors or last_line(said)}")
    return wrong


def _limited(reference: Undisturbed, folder: Path) -> Result:
    place = Workplace(folder, limit=_FILE_LIMIT)
    status, said = ended(place.sweep())
    wrong = _message("tables", status, said)
    place.limit = None
    wrong += place.until_done() or settled(place, reference.facts)
    return Result("disk", f"files of {_FILE_LIMIT} bytes at most", tuple(wrong), folder=folder)
