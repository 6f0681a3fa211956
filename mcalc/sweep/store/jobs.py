"""What each job of a launcher is to do, in the sweep's own store, where every worker looks already.

A launcher passes on a short token alone. So its command lines, files and logs stay free of settings
and of passwords, and a worker on another machine needs no file of the one that started it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from mcalc.config import Config, PlannedTrial, flatten, updated
from mcalc.errors import UserError
from mcalc.sweep.store.storage import Storage

_metadata = sa.MetaData()
_jobs = sa.Table(
    "mcalc_jobs",
    _metadata,
    sa.Column("token", sa.String(32), primary_key=True),
    sa.Column("study", sa.String(255), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
)
_PLACES = ("storage", "tracking.uri", "tracking.dir")
"""Settings that a worker has already, having found the store; they may hold a password."""


@dataclass(frozen=True)
class Job:
    """The work of one process: the trials of a training run, or a search's next configuration."""

    sweep: str
    """Identity of the sweep."""
    parent: str
    """MLflow run of the sweep."""
    trials: tuple[PlannedTrial, ...] = ()
    """Trials that share a training run; none for a search."""
    base: Config | None = None
    """For a search: what all its trials share."""
    sections: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """For a search over groups: the settings of each choice, as `{"backbone": {"alexnet": {"name":
    "alexnet", ...}}}`."""
    beside: int = 1
    """Jobs that run at once on one machine."""


class Jobs:
    """The jobs of all sweeps of a store."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        storage.create_tables(_metadata)

    def add(self, jobs: Sequence[Job]) -> list[str]:
        """Store jobs; returns their tokens, of letters and digits."""
        rows = [
            {"token": _token(), "study": job.sweep, "plan": json.dumps(_plain(job))} for job in jobs
        ]
        self.storage.retry(self._run, sa.insert(_jobs), rows)
        return [row["token"] for row in rows]

    def find(self, token: str, places: Config) -> Job:
        """The job of a token, its configs with the storage and tracking places of `places`.

        Raises UserError where the store has no such job.
        """
        found = self.storage.retry(self._plan, token)
        if found is None:
            raise UserError(
                f"the store has no job {token!r}: its sweep was cancelled, or its command has "
                "ended (job= is set by the sweep engine alone; start a sweep with -m)"
            )
        return _restored(json.loads(found), places)

    def remove_all(self, study: str) -> int:
        """Delete the jobs of a sweep; returns their number."""
        return self.storage.retry(self._remove_all, study)

    def _remove_all(self, study: str) -> int:
        with self.storage.engine.begin() as connection:
            done = connection.execute(sa.delete(_jobs).where(_jobs.c.study == study))
            return int(done.rowcount)

    def remove(self, tokens: Collection[str]) -> None:
        """Delete jobs that are no longer needed."""
        self.storage.retry(self._run, sa.delete(_jobs).where(_jobs.c.token.in_(tokens)))

    def _run(self, statement: Any, rows: Sequence[Mapping[str, str]] = ()) -> None:
        with self.storage.engine.begin() as connection:
            connection.execute(statement, list(rows) or None)

    def _plan(self, token: str) -> str | None:
        with self.storage.engine.connect() as connection:
            row = connection.execute(sa.select(_jobs.c.plan).where(_jobs.c.token == token)).first()
        return None if row is None else str(row.plan)


def _token() -> str:
    # a letter first: Hydra reads `job=7923634279494e31` as a number
    return f"j{secrets.token_hex(8)}"


def _plain(job: Job) -> dict[str, Any]:
    trials = [{**vars(trial), "config": _settings(trial.config)} for trial in job.trials]
    return {**vars(job), "trials": trials, "base": _settings(job.base) if job.base else None}


def _settings(config: Config) -> dict[str, Any]:
    return {key: value for key, value in flatten(config).items() if key not in _PLACES}


def _restored(plain: Mapping[str, Any], places: Config) -> Job:
    def config(settings: Mapping[str, Any]) -> Config:
        made = updated(Config(), settings)
        tracking = replace(made.tracking, dir=places.tracking.dir, uri=places.tracking.uri)
        return replace(made, storage=places.storage, tracking=tracking)

    trials = tuple(
        PlannedTrial(**{**each, "config": config(each["config"])}) for each in plain["trials"]
    )
    base = config(plain["base"]) if plain["base"] else None
    return Job(**{**plain, "trials": trials, "base": base})
