"""How much work something is, in what a busy machine does not change: statements, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

import mcalc

_CODE = str(Path(mcalc.__file__).parent)
_WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass
class Statements:
    """What went to the databases of this process."""

    all: list[str] = field(default_factory=list)
    commits: int = 0
    """Transactions that wrote something: each waits for the disk."""


@contextmanager
def statements() -> Iterator[Statements]:
    """The SQL of the block, of every engine: Optuna's, MLflow's and that of leases."""
    seen, writing = Statements(), set[int]()

    def execute(connection: Connection, _: object, statement: str, *rest: object) -> None:
        seen.all.append(statement)
        if statement.startswith(_WRITES):
            writing.add(id(connection.connection.dbapi_connection))

    def commit(connection: Connection) -> None:
        if id(connection.connection.dbapi_connection) in writing:
            writing.discard(id(connection.connection.dbapi_connection))
            seen.commits += 1

    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", execute)
        event.remove(Engine, "commit", commit)


@dataclass
class Lines:
    """Lines of mcalc that were executed."""

    count: int = 0


@contextmanager
def lines() -> Iterator[Lines]:
    """The lines of the block in this thread."""
    seen = Lines()

    def inside(_: FrameType, what: str, __: Any) -> Any:
        seen.count += what == "line"
        return inside

    def called(frame: FrameType, _: str, __: Any) -> Any:
        return inside if frame.f_code.co_filename.startswith(_CODE) else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield seen
    finally:
        sys.settrace(before)
