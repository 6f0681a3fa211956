"""Signals: SIGTERM, SIGINT once and twice, SIGSTOP of a worker while another takes over."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from durability.instants import Instant
from durability.proof import (
    LONGEST_SECONDS,
    LeaseTimes,
    Result,
    Undisturbed,
    Workplace,
    copied,
    ended,
    last_line,
    settled,
)

from mcalc.errors import PREEMPTED

BLOWS = ("SIGTERM", "SIGINT", "SIGINT SIGINT")
STAGES = ("training", "validation", "checkpoint", "artifacts")


def cases(
    reference: Undisturbed, folder: Path, leases: LeaseTimes | None = None
) -> Iterator[Callable[[], Result]]:
    """Each signal in each stage, and the worker that is stopped.

    `leases`: when that worker is taken for dead, instead of mcalc's own times.
    """
    for blow in BLOWS:
        for stage in STAGES:
            # in the second of three training runs
            number = max(1, reference.sweep.counts[stage] // 2)
            name = f"{blow.replace(' ', '-')}-{stage}"
            instant = Instant(stage, number, blow=blow)
            yield partial(_interrupted, reference, folder / name, instant)
    yield partial(_taken_over, reference, folder / "stopped", leases)


def _interrupted(reference: Undisturbed, folder: Path, instant: Instant) -> Result:
    place = copied(reference, folder, ".cache")
    status, said = ended(place.sweep(instant))
    wrong = []
    expected = PREEMPTED if instant.blow == "SIGTERM" else 130
    if status != expected:
        wrong.append(f"ended with {status}, not {expected}: {last_line(said)}")
    if "Traceback" in said:
        wrong.append("printed a traceback")
    if "the same command" not in said:
        wrong.append(f"did not say how to go on: {last_line(said)}")
    wrong += place.until_done() or settled(place, reference.facts)
    return Result("signal", f"{instant.blow} at {instant}", tuple(wrong), folder=place.folder)


def _taken_over(reference: Undisturbed, folder: Path, leases: LeaseTimes | None) -> Result:
    """SIGSTOP of a worker; another one takes over; the first, continued, writes nothing.

    On one machine a stopped process is alive, and its lease stays. So its lease is made one of
    another machine, whose heartbeat stands still.
    """
    place = copied(reference, folder, ".cache")
    place.leases = leases
    number = reference.sweep.counts["training"] // 2
    stopped = place.sweep(Instant("training", number, blow="SIGSTOP"), life="stopped")
    until = time.monotonic() + LONGEST_SECONDS
    while _state(stopped.pid) != "T" and stopped.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    wrong = []
    if _state(stopped.pid) != "T":
        wrong.append(f"was not stopped: {last_line(stopped.stdout)}")
    with closing(sqlite3.connect(place.record / "optuna.db", timeout=60)) as database:
        database.execute("UPDATE mcalc_claims SET host = 'elsewhere', boot = 'another'")
        database.commit()
    status, said = ended(place.sweep(life="other"))
    if status != 0:
        wrong.append(f"the worker that takes over ended with {status}: {last_line(said)}")
    wrong += settled(place, reference.facts)
    before = _content(place)
    os.kill(stopped.pid, signal.SIGCONT)
    status, said = ended(stopped)
    if status == 0 or "took this one for dead" not in said:
        wrong.append(f"continued, it ended with {status}: {last_line(said)}")
    if "Traceback" in said:
        wrong.append("continued, it printed a traceback")
    if changed := {name for name, text in _content(place).items() if before.get(name) != text}:
        wrong.append(f"continued, it wrote {', '.join(sorted(changed))}")
    wrong += settled(place, reference.facts)
    return Result("signal", "SIGSTOP, another takes over", tuple(wrong), folder=place.folder)


def _content(place: Workplace) -> dict[str, object]:
    """The rows of trials and the files of a record."""
    found: dict[str, object] = {
        str(path.relative_to(place.record)): path.read_bytes()
        for part in ("artifacts", "checkpoints")
        for path in (place.record / part).rglob("*")
        if path.is_file()
    }
    queries = {
        "mlflow.db": ("metrics", "params", "latest_metrics"),
        "optuna.db": ("trials", "trial_values", "trial_user_attributes"),
    }
    for name, tables in queries.items():
        with closing(sqlite3.connect(place.record / name, timeout=60)) as database:
            for table in tables:
                found[f"{name}: {table}"] = sorted(
                    map(repr, database.execute(f"SELECT * FROM {table}"))
                )
    return found


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
