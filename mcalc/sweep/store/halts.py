"""Whether a sweep is to stop: paused, cancelled, or being removed, for every worker of its store.

A row of a table beside the leases, and no attribute of Optuna's study: it is asked at each
evaluation, and there a store that is away must not keep training waiting.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa

from mcalc.errors import CancelledError, StoppedError
from mcalc.retry import UnreachableError
from mcalc.sweep.store.storage import Storage

_metadata = sa.MetaData()
_halts = sa.Table(
    "mcalc_halts",
    _metadata,
    sa.Column("study", sa.String(255), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("since", sa.String(32), nullable=False),
)


class HaltKind(Enum):
    """What a sweep is."""

    paused = "paused"
    cancelled = "cancelled"
    removed = "removed"
    """Its removal has begun."""


@dataclass(frozen=True)
class Halt:
    """What a sweep is, and since when."""

    sweep: str
    kind: HaltKind
    host: str
    """Where the command was given."""
    since: str
    """As `2026-11-26 12:00:00 UTC`."""

    def __str__(self) -> str:
        return f"{self.sweep} is {self.kind.value} (on {self.host}, {self.since})"

    def error(self) -> StoppedError:
        """What ends a worker at the sweep, and a command that would begin one."""
        if self.kind is HaltKind.removed:
            return StoppedError(
                f"{self.sweep} is being removed (on {self.host}, {self.since}): finish that with "
                f"`python -m mcalc.sweep remove {self.sweep} confirm=true`, or give this sweep "
                "another name with name=NAME"
            )
        kind = CancelledError if self.kind is HaltKind.cancelled else StoppedError
        return kind(
            f"{self}: nothing runs until `python -m mcalc.sweep resume {self.sweep}`; then the "
            "same command resumes from the checkpoints"
        )


class Halts:
    """The halt of one study."""

    def __init__(self, storage: Storage, study: str) -> None:
        self.storage = storage
        self.study = study
        storage.create_tables(_metadata)

    def now(self, *, wait: bool = True) -> Halt | None:
        """The halt of the sweep, if it has one.

        Without `wait`, None where the store is away now. Raises UnreachableError where it stays
        away.
        """
        try:
            return (self.storage.retry if wait else self.storage.retry.once)(self._find)
        except UnreachableError:
            if wait:
                raise
            return None

    def check(self) -> None:
        """Raise StoppedError where the sweep is halted."""
        if halt := self.now():
            raise halt.error()

    def halt(self, kind: HaltKind) -> None:
        """Halt the sweep, in place of any halt that it has."""
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        row = {"study": self.study, "kind": kind.value, "host": socket.gethostname()}
        self.storage.retry(self._write, {**row, "since": since})

    def lift(self) -> None:
        """Let the sweep go on."""
        self.storage.retry(self._write, None)

    def _find(self) -> Halt | None:
        with self.storage.engine.connect() as connection:
            query = sa.select(_halts).where(_halts.c.study == self.study)
            row = connection.execute(query).first()
        if row is None:
            return None
        return Halt(str(row.study), HaltKind(row.kind), str(row.host), str(row.since))

    def _write(self, row: dict[str, Any] | None) -> None:
        with self.storage.engine.begin() as connection:
            connection.execute(sa.delete(_halts).where(_halts.c.study == self.study))
            if row:
                connection.execute(sa.insert(_halts).values(row))
