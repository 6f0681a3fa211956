"""Rows of MLflow's database that MLflow cannot read, or that name another place than the record's.

Nothing of MLflow's writes such rows: they are what somebody changed by hand, or a fault of a disk.
MLflow refuses a search that meets one, so that they are looked for in the database itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mcalc.sqlite_file import opened
from mcalc.tracking.places import ARTIFACTS, artifacts_uri, database_of
from mcalc.tracking.run_writer import STATE_TAG
from mcalc.tracking.runs import PARENT_TAG

_RUNS = """
    SELECT r.run_uuid, r.name, r.status, r.start_time, r.lifecycle_stage, r.artifact_uri,
        r.experiment_id, e.experiment_id, p.experiment_id, s.value
    FROM runs r
    LEFT JOIN experiments e USING (experiment_id)
    LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = ?
    LEFT JOIN runs p ON p.run_uuid = t.value
    LEFT JOIN tags s ON s.run_uuid = r.run_uuid AND s.key = ?"""
_BEGAN = "SELECT min(timestamp) FROM metrics WHERE run_uuid = ?"
_STATUS = {"finished": "FINISHED", "pruned": "KILLED", "interrupted": "KILLED"}


@dataclass(frozen=True)
class WrongRow:
    """One value of a run's row that cannot be right."""

    run_id: str
    name: str
    column: str
    now: object
    right: str | int
    """What the rest of the record says that it was."""

    @property
    def text(self) -> str:
        """What is wrong, in words."""
        now = "nothing" if self.now is None else repr(self.now)
        return f"{self.name}: its {self.column} in MLflow is {now} (run {self.run_id})"


def wrong_rows(directory: Path) -> list[WrongRow]:
    """What of the runs of a record on this machine is not as MLflow and mcalc write it."""
    with opened(database_of(directory)) as database:
        return list(_wrong(database, directory))


def mend_rows(directory: Path, rows: list[WrongRow]) -> None:
    """Set each value to what the rest of the record says that it was, all or none of them."""
    with opened(database_of(directory)) as database, database:
        for row in rows:
            database.execute(
                f"UPDATE runs SET {row.column} = ? WHERE run_uuid = ?", (row.right, row.run_id)
            )


def _wrong(database: sqlite3.Connection, directory: Path) -> Iterator[WrongRow]:
    with closing(database.execute(_RUNS, (PARENT_TAG, STATE_TAG))) as rows:
        runs = rows.fetchall()
    ours = [row for row in runs if _is_here(directory, str(row[0])) or row[9] is not None]
    usual = max((row[7] for row in ours if row[7] is not None), default=None)
    for run, name, status, start, stage, address, experiment, known, parents, state in ours:
        right = f"{artifacts_uri(directory)}/{run}/{ARTIFACTS}"
        if status is None:
            yield WrongRow(run, str(name), "status", None, _STATUS.get(str(state), "FAILED"))
        if start is None:
            began = database.execute(_BEGAN, (run,)).fetchone()[0]
            yield WrongRow(run, str(name), "start_time", None, int(began or 0))
        if stage is None:
            yield WrongRow(run, str(name), "lifecycle_stage", None, "active")
        if address != right:
            yield WrongRow(run, str(name), "artifact_uri", address, right)
        home = parents if parents is not None else known if known is not None else usual
        if home is not None and experiment != home:
            yield WrongRow(run, str(name), "experiment_id", experiment, int(home))


def _is_here(directory: Path, run_id: str) -> bool:
    return (directory / ARTIFACTS / run_id).is_dir()
