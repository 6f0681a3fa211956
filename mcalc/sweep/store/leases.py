"""Who works on what: a row in the sweep's own store for each training run that is under way.

Optuna gives a waiting trial to one worker, but knows neither that several trials share a run nor
whether the worker of a running one still lives. A claim is taken by inserting a row with a unique
key, which every database does at once or not at all. It is free again when its owner releases it
or is gone: on this machine a process is looked up by number and start time; of another machine one
watches whether the owner still counts its beats.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    MetaData,
    Row,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from mcalc.sweep.store.storage import Storage, StorageUnreachableError, after_others

BEAT_SECONDS = 10.0
STALE_SECONDS = 90.0
"""A worker elsewhere that has not counted on for so long is taken for dead."""

_metadata = MetaData()
_claims = Table(
    "mcalc_claims",
    _metadata,
    Column("study", String(255), primary_key=True),
    Column("work", String(64), primary_key=True),
    Column("token", String(36), nullable=False),
    Column("host", String(255), nullable=False),
    Column("boot", String(64), nullable=False),
    Column("room", String(64), nullable=False),
    Column("process", BigInteger, nullable=False),
    Column("process_started", Float(53), nullable=False),
    Column("beat", BigInteger, nullable=False),
)
_INITIAL_PROCESS_ROOM = "pid:[4026531836]"
"""Linux's name of the process numbers that a whole machine, and no container, shares."""


@dataclass(frozen=True)
class Owner:
    """Who holds a claim."""

    host: str
    process: int
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Claims:
    """The claims of one study."""

    def __init__(self, storage: Storage, study: str) -> None:
        self.storage = storage
        self.study = study
        self._watched: dict[str, tuple[int, float]] = {}
        self._mine: set[str] = set()
        storage.patiently(lambda: after_others(lambda: _metadata.create_all(storage.engine)))

    @contextmanager
    def hold(self, work: str) -> Iterator[Owner | Lease]:
        """Inside, a Lease where the work is ours, else its living owner."""
        taken = self.storage.patiently(lambda: self._take(work))
        if isinstance(taken, Owner):
            yield taken
            return
        lease = Lease(self, work, taken)
        self._mine.add(taken)
        lease.start()
        try:
            yield lease
        finally:
            lease.stop()
            self._mine.discard(taken)
            self.storage.patiently(lambda: self._drop(work, taken))

    def owners(self) -> dict[str, Owner]:
        """Living owners by work."""
        return self.storage.patiently(self._owners)

    def _owners(self) -> dict[str, Owner]:
        with self.storage.engine.connect() as connection:
            rows = connection.execute(select(_claims).where(_claims.c.study == self.study)).all()
        return {row.work: _owner(row) for row in rows if not self._is_dead(row)}

    def _take(self, work: str) -> str | Owner:
        token = str(uuid.uuid4())
        here = psutil.Process()
        row = {
            "study": self.study,
            "work": work,
            "token": token,
            "host": socket.gethostname(),
            "boot": _boot(),
            "room": _process_room(),
            "process": here.pid,
            "process_started": here.create_time(),
            "beat": 0,
        }
        while True:
            try:
                with self.storage.engine.begin() as connection:
                    connection.execute(insert(_claims).values(row))
                return token
            except IntegrityError:
                pass  # somebody has it
            with self.storage.engine.begin() as connection:
                found = connection.execute(
                    select(_claims).where(_claims.c.study == self.study, _claims.c.work == work)
                ).first()
                if found is None:
                    continue  # released in between
                if not self._is_dead(found):
                    return _owner(found)
                connection.execute(delete(_claims).where(_claims.c.token == found.token))

    def _drop(self, work: str, token: str) -> None:
        with self.storage.engine.begin() as connection:
            connection.execute(
                delete(_claims).where(
                    _claims.c.study == self.study,
                    _claims.c.work == work,
                    _claims.c.token == token,
                )
            )

    def beat(self, token: str) -> bool:
        """Count on; False where the claim was taken away."""
        with self.storage.engine.begin() as connection:
            done = connection.execute(
                update(_claims).where(_claims.c.token == token).values(beat=_claims.c.beat + 1)
            )
            return int(done.rowcount) == 1

    def _is_dead(self, row: Row[tuple[object, ...]]) -> bool:
        if row.host == socket.gethostname() and row.room == _process_room():
            if row.boot != _boot():
                # the same machine, started anew; containers of one name cannot be told apart so
                return str(row.room) == _INITIAL_PROCESS_ROOM
            return not _runs(row.process, row.process_started) or (
                row.process == os.getpid() and row.token not in self._mine
            )
        beat, since = self._watched.get(row.token, (None, 0.0))
        if beat != row.beat:
            self._watched[row.token] = (row.beat, time.monotonic())
            return False
        return time.monotonic() - since > STALE_SECONDS


class Lease:
    """A claim of this process; it counts its beats while it is held."""

    def __init__(self, claims: Claims, work: str, token: str) -> None:
        self.claims = claims
        self.work = work
        self.token = token
        self.lost = False
        """Another worker took this one for dead; what is done here must not be told."""
        self._beaten = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"claim {work}", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()

    def held(self) -> bool:
        """Whether the claim is still ours; asked of the store where the last beat is long ago."""
        if not self.lost and time.monotonic() - self._beaten > BEAT_SECONDS:
            self.lost = not self.claims.storage.patiently(lambda: self.claims.beat(self.token))
        return not self.lost

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                if not self.claims.storage.patiently(lambda: self.claims.beat(self.token)):
                    self.lost = True
                    return
                self._beaten = time.monotonic()
            except StorageUnreachableError:
                continue  # the worker itself will say so when it has something to tell


def _owner(row: Row[tuple[object, ...]]) -> Owner:
    return Owner(str(row.host), int(row.process), str(row.token))


def _runs(process: int, started: float) -> bool:
    try:
        # the number may have gone to another process since
        return bool(abs(psutil.Process(process).create_time() - started) < 1)
    except psutil.NoSuchProcess:
        return False


def _boot() -> str:
    """What changes with each start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _process_room() -> str:
    """Within what a process number names one process: a machine, or a container on it."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _INITIAL_PROCESS_ROOM
