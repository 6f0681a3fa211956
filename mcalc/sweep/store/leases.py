"""Who works on what: a lease in the sweep's own store for each training run under way.

Optuna gives a trial that waits to one worker: the step from WAITING to RUNNING succeeds once. Its
storage can also record heartbeats, by which a trial whose worker died is found and failed. Neither
is enough here. Several trials share one training run, which is taken as a whole, and which resumes
where it stopped instead of failing. And a worker that died on this machine is known at once, not
after a grace period.

A lease is acquired by inserting a row with a unique key, which every database does completely or
not at all. It is free again when its owner releases it or has died. A process of this machine is
looked up by number and start time; one of another machine is dead when its heartbeat has stopped.
A copy of a record has the leases of its original's workers, who work there and not here.
"""

from __future__ import annotations

import logging
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
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from mcalc.retry import UnreachableError
from mcalc.sqlite_file import file_of
from mcalc.sweep.store.storage import Storage

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 90.0
"""A worker on another machine whose heartbeat is older than this is taken for dead."""

_log = logging.getLogger(__name__)
_metadata = sa.MetaData()
# the names in the database are those of the first version, whose records are still used
_leases = sa.Table(
    "mcalc_claims",
    _metadata,
    sa.Column("study", sa.String(255), primary_key=True),
    sa.Column("work", sa.String(64), primary_key=True),
    sa.Column("token", sa.String(36), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("boot", sa.String(64), nullable=False),
    sa.Column("room", sa.String(64), key="pid_namespace", nullable=False),
    sa.Column("process", sa.BigInteger, nullable=False),
    sa.Column("process_started", sa.Float(53), nullable=False),
    sa.Column("beat", sa.BigInteger, key="heartbeat", nullable=False),
)
# beside it: records of before have no such column
_places = sa.Table(
    "mcalc_lease_places",
    _metadata,
    sa.Column("token", sa.String(36), primary_key=True),
    sa.Column("place", sa.String(64), nullable=False),
)
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""Linux's name of the PID namespace of a whole machine, as opposed to a container's."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lease."""

    host: str
    process: int
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Leases:
    """The leases of one study."""

    def __init__(self, storage: Storage, study: str) -> None:
        self.storage = storage
        self.study = study
        self._watched: dict[str, tuple[int, float]] = {}
        self._mine: set[str] = set()
        storage.create_tables(_metadata)
        self._place = _place_of(storage.url)

    @contextmanager
    def acquire(self, work: str) -> Iterator[Owner | Lease]:
        """A lease on the work for the block, or its living owner if another worker has it."""
        taken = self.storage.retry(self._take, work)
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
            self.storage.retry(self._drop, work, taken)

    def owners(self) -> dict[str, Owner]:
        """Living owners by their work."""
        return self.storage.retry(self._owners)

    def settled_owners(self) -> list[Owner]:
        """Living owners, after waiting until those on other machines are known to live.

        At most a little longer than STALE_SECONDS; not at all where one on this machine lives, or
        there is none.
        """
        until, said = time.monotonic() + STALE_SECONDS + 2, False
        while owners := list(self.owners().values()):
            here = [owner for owner in owners if owner.host == socket.gethostname()]
            if here or time.monotonic() > until:
                return here or owners
            if not said:
                _log.warning(
                    f"waiting up to {STALE_SECONDS:.0f} s to see whether {owners[0]} lives"
                )
                said = True
            time.sleep(0.5)
        return []

    def _owners(self) -> dict[str, Owner]:
        with self.storage.engine.connect() as connection:
            rows = connection.execute(_with_places(_leases.c.study == self.study)).all()
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
            "pid_namespace": _pid_namespace(),
            "process": here.pid,
            "process_started": here.create_time(),
            "heartbeat": 0,
        }
        while True:
            try:
                with self.storage.engine.begin() as connection:
                    connection.execute(sa.insert(_leases).values(row))
                    if self._place:
                        place = {"token": token, "place": self._place}
                        connection.execute(sa.insert(_places).values(place))
                return token
            except IntegrityError:
                pass  # somebody has it
            with self.storage.engine.begin() as connection:
                found = connection.execute(
                    _with_places(_leases.c.study == self.study, _leases.c.work == work)
                ).first()
                if found is None:
                    continue  # released in between
                if not self._is_dead(found):
                    return _owner(found)
                connection.execute(sa.delete(_leases).where(_leases.c.token == found.token))
                connection.execute(sa.delete(_places).where(_places.c.token == found.token))

    def _drop(self, work: str, token: str) -> None:
        with self.storage.engine.begin() as connection:
            connection.execute(
                sa.delete(_leases).where(
                    _leases.c.study == self.study, _leases.c.work == work, _leases.c.token == token
                )
            )
            connection.execute(sa.delete(_places).where(_places.c.token == token))

    def remove_all(self) -> None:
        """Delete every lease of the study, as it is removed."""
        self.storage.retry(self._remove_all)

    def _remove_all(self) -> None:
        held = sa.select(_leases.c.token).where(_leases.c.study == self.study)
        with self.storage.engine.begin() as connection:
            connection.execute(sa.delete(_places).where(_places.c.token.in_(held)))
            connection.execute(sa.delete(_leases).where(_leases.c.study == self.study))

    def heartbeat(self, token: str) -> bool:
        """Count the heartbeat on; False if another worker has taken the lease over."""
        return self.storage.retry(self._heartbeat, token)

    def _heartbeat(self, token: str) -> bool:
        with self.storage.engine.begin() as connection:
            done = connection.execute(
                sa.update(_leases)
                .where(_leases.c.token == token)
                .values(heartbeat=_leases.c.heartbeat + 1)
            )
            return int(done.rowcount) == 1

    def holds(self, token: str, *, wait: bool) -> bool:
        """Whether the lease of this token is still there.

        Raises UnreachableError where the store is away, at once without `wait`.
        """
        ask = self.storage.retry if wait else self.storage.retry.once
        return ask(self._holds, token)

    def _holds(self, token: str) -> bool:
        with self.storage.engine.connect() as connection:
            found = connection.execute(sa.select(_leases.c.token).where(_leases.c.token == token))
            return found.first() is not None

    def _is_dead(self, row: sa.Row[tuple[object, ...]]) -> bool:
        if row.host == socket.gethostname() and row.pid_namespace == _pid_namespace():
            if row.place and row.place != self._place:
                return True  # it works at the record that this one is a copy of
            if row.boot == _boot():
                return not _runs(row.process, row.process_started) or (
                    row.process == os.getpid() and row.token not in self._mine
                )
            # the machine has restarted; containers of one name on two machines look the same
            if row.pid_namespace == _INITIAL_PID_NAMESPACE:
                return True
        heartbeat, since = self._watched.get(row.token, (None, 0.0))
        if heartbeat != row.heartbeat:
            self._watched[row.token] = (row.heartbeat, time.monotonic())
            return False
        return time.monotonic() - since > STALE_SECONDS


class Lease:
    """A lease of this process, with a heartbeat while it is held."""

    def __init__(self, leases: Leases, work: str, token: str) -> None:
        self.leases = leases
        self.work = work
        self.token = token
        self.lost = False
        """Another worker took this one for dead; results of this one must not be recorded."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name=f"lease {work}", daemon=True)

    def start(self) -> None:
        """Start the heartbeat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat."""
        self._ended.set()
        self._thread.join()

    def held(self, *, wait: bool = True) -> bool:
        """Whether the lease is still ours, by the store: clocks may stand still where a machine
        sleeps.

        Raises UnreachableError where the store stays away. Without `wait` a lease whose store is
        away now counts as held: nobody can take it over there.
        """
        try:
            self.lost = self.lost or not self.leases.holds(self.token, wait=wait)
        except UnreachableError:
            if wait:
                raise
        return not self.lost

    def _keep_alive(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                if not self.leases.heartbeat(self.token):
                    self.lost = True
                    return
            except (UnreachableError, OperationalError):
                continue  # the worker itself reports it when it next needs the store


def _with_places(*which: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    """Leases, each with the file that it was written to, where that is recorded."""
    both = _leases.outerjoin(_places, _leases.c.token == _places.c.token)
    return sa.select(*_leases.c, _places.c.place).select_from(both).where(*which)


def _place_of(url: str) -> str:
    """The file of a store as this machine tells it from its copies; empty for a server."""
    file = file_of(url)
    try:
        found = file.stat() if file else None
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}" if found else ""


def _owner(row: sa.Row[tuple[object, ...]]) -> Owner:
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


def _pid_namespace() -> str:
    """Where process numbers are unique: a machine, or a container on it."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _INITIAL_PID_NAMESPACE
