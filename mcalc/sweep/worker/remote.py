"""A job of a sweep in a process that a launcher started, here or on another machine."""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcalc.config.compose import to_config
from mcalc.config.identity import NUMERICS_VERSION
from mcalc.config.schema import Config
from mcalc.errors import UserError
from mcalc.results import Outcome


@dataclass(frozen=True)
class Ended:
    """What a job gives back: outcomes, or why it could not run at all.

    Errors come as text, as not every exception survives the way between processes.
    """

    outcomes: list[Outcome]
    error: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Task:
    """What a launcher calls in its own process: one job of a sweep."""

    host: str
    """Where the sweep was started."""
    numerics: int
    """Which numbers the sweep's code computes (`mcalc.config.identity`)."""

    def __call__(self, composed: Any) -> Ended:
        """Run the job that a composed config describes; what goes wrong is told, not raised."""
        from mcalc.sweep.worker.job import run_job

        try:
            config = to_config(composed)
            self._check(config)
            with _own_log(config):
                return Ended(run_job(config))
        except UserError as error:
            return Ended([], str(error))
        except Exception as error:
            return Ended([], f"{type(error).__name__}: {error}", traceback.format_exc())

    def _check(self, config: Config) -> None:
        """Raise UserError where this machine cannot work at the sweep."""
        from mcalc.sweep.store.storage import storage_url

        here = socket.gethostname()
        if self.numerics != NUMERICS_VERSION:
            raise UserError(
                f"{here} runs another version of mcalc than {self.host}, where the sweep was "
                f"started (numerics {NUMERICS_VERSION}, not {self.numerics}): install the same"
            )
        if here != self.host and storage_url(config).startswith("sqlite"):
            raise UserError(
                f"a job of {self.host} started on {here}, but machines cannot share a SQLite file "
                "safely: name a database with storage=postgresql+psycopg://USER@HOST/NAME "
                "(docs/parallel.md)"
            )


@contextlib.contextmanager
def _own_log(config: Config) -> Iterator[None]:
    """What is printed goes to a log of this process: the terminal shows the sweep."""
    logs = Path(config.tracking.dir) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    name = f"{config.job.sweep}-{socket.gethostname()}-{os.getpid()}.log".replace(os.sep, "_")
    with (logs / name).open("a", buffering=1) as log, contextlib.redirect_stdout(log):
        yield


def task() -> Task:
    """The task of a sweep that is started here."""
    return Task(socket.gethostname(), NUMERICS_VERSION)
