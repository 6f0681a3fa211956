"""A job of a sweep in a process that a launcher started, here or on another machine."""

from __future__ import annotations

import json
import os
import socket
import traceback
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from mcalc.allocator import give_back_memory
from mcalc.config import NUMERICS_VERSION, Config, PlannedTrial, plan_trial
from mcalc.errors import PREEMPTED, PreemptedError, StoppedError, UserError
from mcalc.logs import worker_log
from mcalc.preemption import handled, raised_again
from mcalc.results import Outcome
from mcalc.secret_text import hidden, without_password
from mcalc.sweep.worker.requeue import requeue_submitit
from mcalc.user_cache import keep_compiled_here

_VARIABLE = "MCALC_ADDRESSES"
"""Environment variable by which a job gets addresses with passwords; it changes no number."""


class Ended(Enum):
    """Why a job ended."""

    by_itself = "its work is done, or could not be"
    stopped = "its sweep was paused or cancelled"
    preempted = "a scheduler took its machine back; what is left may be given to another job"


@dataclass(frozen=True)
class JobReport:
    """What a job gives back: outcomes, or why it could not run at all.

    Errors come as text, as not every exception can be sent between processes.
    """

    outcomes: list[Outcome]
    error: str = ""
    trace: str = ""
    ended: Ended = Ended.by_itself


@dataclass(frozen=True)
class RemoteJob:
    """What a launcher calls in a process of its own, with the token of one job."""

    host: str
    """Where the sweep was started."""
    folder: str
    """The working folder there: paths in settings may be relative to it."""
    numerics: int
    """Which numbers the sweep's code computes (`mcalc.config.identity`)."""
    places: Config
    """Where the store and the record are, with absolute paths; nothing else of it is used."""
    withheld: bool = False
    """Whether the addresses of places come by the environment (`for_a_file`)."""

    def for_a_file(self) -> RemoteJob:
        """The same job for a launcher that writes it to a file, as Submitit does.

        Addresses that hold a password are then handed on by this process's environment, which its
        jobs inherit (Slurm: `--export=ALL`, its default).
        """
        storage, uri = self.places.storage, self.places.tracking.uri
        if all(without_password(each) == each for each in (storage, uri) if each):
            return self
        os.environ[_VARIABLE] = json.dumps([storage, uri])
        return replace(self, places=_at(self.places, None, None), withheld=True)

    def __call__(self, composed: Any) -> JobReport:
        """Run the job whose token a composed config holds; errors are reported, not raised."""
        try:
            if self.withheld:
                whole = replace(self, places=self._from_environment(), withheld=False)
                return whole(composed)
            with raised_again(), handled(_at_once):
                return self._run(str(composed.job))
        except PreemptedError as error:
            requeue_submitit(error.number)
            return JobReport([], str(error), ended=Ended.preempted)
        except _LeftError as error:
            requeue_submitit(error.number)
            return JobReport([], str(PreemptedError(error.number)), ended=Ended.preempted)
        except StoppedError as error:
            return JobReport([], str(error), ended=Ended.stopped)
        except UserError as error:
            return JobReport([], str(error))
        except Exception as error:
            text, trace = f"{type(error).__name__}: {error}", traceback.format_exc()
            addresses = (self.places.storage, self.places.tracking.uri)
            return JobReport([], hidden(text, *addresses), hidden(trace, *addresses))

    def _run(self, token: str) -> JobReport:
        keep_compiled_here()
        # late: the process that starts a sweep makes this object before it needs a worker
        from mcalc.sweep.store import Jobs, Storage, storage_url
        from mcalc.sweep.worker.context import WorkerContext
        from mcalc.sweep.worker.job import run_job
        from mcalc.trials import finish

        here, url = socket.gethostname(), storage_url(self.places)
        self._check(here, url)
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        storage = Storage(url, self.places.storage_wait)
        job = Jobs(storage).find(token, self.places)
        context = WorkerContext(self.places, job.sweep, storage=storage)
        logs = Path(self.places.tracking.dir) / "logs"
        name = f"{job.sweep}-{here}-{os.getpid()}.log".replace(os.sep, "_")
        with worker_log(logs / name):
            for trial in job.trials:
                self._check_unchanged(trial, context.data(trial.config.data).fingerprint)
            try:
                return JobReport(finish(run_job(job, context)))
            finally:
                # a worker of several jobs may wait for its next one, beside others
                give_back_memory()

    def _from_environment(self) -> Config:
        given = os.environ.get(_VARIABLE)
        if given is None:
            raise UserError(
                f"a job of {self.host} began without the environment of the sweep, which holds the "
                "password of storage= or tracking.uri=: let jobs inherit it (Slurm: --export=ALL), "
                "or keep the password in ~/.pgpass"
            )
        storage, uri = json.loads(given)
        return _at(self.places, storage, uri)

    def _check_unchanged(self, trial: PlannedTrial, fingerprint: str) -> None:
        """Raise UserError where the trial would have another identity here than was planned."""
        if plan_trial(trial.name, trial.config, fingerprint).key != trial.key:
            raise UserError(
                f"{trial.name} is another trial here than was planned: did its code, its data or a "
                "file of weights change while the sweep ran? Give the same command again to plan "
                "anew"
            )

    def _check(self, here: str, url: str) -> None:
        """Raise UserError where this machine cannot work at the sweep."""
        if self.numerics != NUMERICS_VERSION:
            raise UserError(
                f"{here} runs another version of mcalc than {self.host}, where the sweep was "
                f"started (numerics {NUMERICS_VERSION}, not {self.numerics}): install the same"
            )
        if here != self.host and url.startswith("sqlite"):
            raise UserError(
                f"a job of {self.host} started on {here}, but machines cannot share a SQLite file "
                "safely: name a database with storage=postgresql+psycopg://USER@HOST/NAME "
                "(docs/parallel.md)"
            )


def _at(places: Config, storage: str | None, uri: str | None) -> Config:
    return replace(places, storage=storage, tracking=replace(places.tracking, uri=uri))


class _LeftError(SystemExit):
    """A signal arrived outside of training, where no `except Exception` may keep it."""

    def __init__(self, number: int) -> None:
        super().__init__(PREEMPTED)
        self.number = number


def _at_once(number: int) -> None:
    raise _LeftError(number)


def remote_job(config: Config) -> RemoteJob:
    """The jobs of a sweep that is started here with this config."""
    tracking = replace(config.tracking, dir=str(Path(config.tracking.dir).absolute()))
    storage = config.storage
    if storage and storage.startswith("sqlite:///") and not storage.startswith("sqlite:////"):
        storage = f"sqlite:///{Path(storage.removeprefix('sqlite:///')).absolute()}"
    places = Config(storage=storage, storage_wait=config.storage_wait, tracking=tracking)
    return RemoteJob(socket.gethostname(), str(Path.cwd()), NUMERICS_VERSION, places)
