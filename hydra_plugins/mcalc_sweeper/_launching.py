"""Hydra's launchers, as the sweep engine uses them: joblib, Submitit (local, Slurm), Ray.

Hydra skips modules whose names begin with an underscore when it looks for plugins, so this one may
import what it needs. Hydra's basic launcher is not used: it would compose each config anew to run
the job in this very process, where `mcalc.sweep` has the config already.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from mcalc.config import Config
from mcalc.errors import StoppedError, UserError
from mcalc.results import Outcome
from mcalc.secret_text import ADDRESSES, hidden
from mcalc.sweep.planning import override_value
from mcalc.sweep.worker import (
    Ended,
    JobReport,
    RemoteJob,
    cores_here,
    refuse_network_files,
    remote_job,
)
from mcalc.training import uses_gpu

_JOBLIB = "JoblibLauncher"
_SUBMITIT_LOCAL = "LocalLauncher"
_WRITE_FILES = (_SUBMITIT_LOCAL, "SlurmLauncher")
"""Submitit keeps what it is given in a file below the record."""
_SEVERAL_MACHINES = ("SlurmLauncher", "McalcRayLauncher")
_GONE = ("UncompletedJobError", "FailedJobError", "RayError")
"""What Submitit and Ray raise for a job that ended without an answer."""
_log = logging.getLogger("mcalc.sweep")


class HydraLauncher:
    """One of Hydra's launchers, for the sweeps of one command (`mcalc.sweep.start.Launcher`)."""

    def __init__(self, context: HydraContext, master: DictConfig) -> None:
        self.context = context
        self.master = master
        self.kind = str(master.hydra.launcher._target_).rsplit(".", 1)[-1]
        self.deaths = 0
        if master.hydra.launcher.get("n_jobs") == 0:
            raise UserError(
                "hydra.launcher.n_jobs=0 runs nothing: give the number of jobs at once, from 1, or "
                "-1 for as many as this machine has room for"
            )

    def at_once(self, jobs: int, config: Config) -> int:
        """How many of so many jobs run at once on this machine: by its GPUs, else by its cores."""
        if self.kind in _SEVERAL_MACHINES:
            return 1  # a scheduler gives each job a machine, or a part of one, to itself
        wanted = int(self.master.hydra.launcher.get("n_jobs", -1))
        if wanted <= 0 and uses_gpu(config.trainer):
            import torch

            wanted = torch.cuda.device_count() * config.trials_per_gpu
        elif wanted <= 0:
            wanted = max(1, cores_here() // (config.trainer.threads or 1))
        return min(jobs, wanted)

    def launch(self, tokens: Sequence[str], config: Config) -> list[list[Outcome]]:
        """Run the jobs of these tokens; returns the outcomes of each.

        A job may be launched again: it skips what is done and leaves what another worker runs. So
        all are launched again when a worker was killed, up to `retries` times. One that a scheduler
        stopped has no outcomes; that counts as no death, and the engine gives it again.

        Raises UserError where a job could not run at all, or workers die repeatedly, and
        StoppedError where the sweep was paused or cancelled.
        """
        if self._leaves_this_machine():
            refuse_network_files(config, f"jobs of {self.kind}")
        job = remote_job(config)
        if self.kind in _WRITE_FILES:
            job = job.for_a_file()
        while True:
            reports, killed = self._round(job, tokens, config)
            for report in reports:
                if report.trace:
                    _log.error(report.trace)
            if stopped := [each.error for each in reports if each.ended is Ended.stopped]:
                raise StoppedError(stopped[0])
            failed = [each for each in reports if each.ended is Ended.by_itself and each.error]
            if failed:
                raise UserError(f"a job of {self.kind} could not run: {failed[0].error}")
            if preempted := sum(each.ended is Ended.preempted for each in reports):
                _log.warning(f"{preempted} of {len(reports)} jobs were stopped by a signal")
            if not killed:
                return [report.outcomes for report in reports]
            self.deaths += 1
            if self.deaths > config.retries:
                raise UserError(
                    f"a job of {self.kind} ended without an answer, {self.deaths} times now "
                    f"({killed}). Was it out of memory, or of its time? What is finished is kept; "
                    "run fewer jobs at once or give each more, and give the same command again"
                )
            _log.warning(
                "a job of %s ended without an answer (%s); giving what is left to new ones "
                "(%d of %d)",
                self.kind, killed, self.deaths, config.retries,
            )  # fmt: skip

    def _round(
        self, job: RemoteJob, tokens: Sequence[str], config: Config
    ) -> tuple[list[JobReport], str]:
        """The report of every job, and why some ended without one."""
        folder = Path(config.tracking.dir).absolute() / "hydra"
        step = len(tokens)
        with open_dict(self.master):
            # each job composes its config anew, from Hydra's own overrides and its token
            place = f"hydra.sweep.dir={override_value(str(folder))}"
            overrides = self.master.hydra.overrides.hydra
            if place not in overrides:
                overrides.append(place)
            self.master.hydra.sweep.dir = str(folder)
            if self.kind == _JOBLIB:
                self.master.hydra.launcher.n_jobs = self.at_once(len(tokens), config)
            elif self.kind == _SUBMITIT_LOCAL:
                step = self.at_once(len(tokens), config)  # it starts all that it is given
        master = _without_addresses(self.master) if self.kind in _WRITE_FILES else self.master
        returned: list[JobReturn] = []
        for start in range(0, len(tokens), step):
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=self.context, task_function=job, config=master
            )
            try:
                returned += launcher.launch(
                    [[f"job={token}"] for token in tokens[start : start + step]],
                    initial_job_idx=start,
                )
            except Exception as error:
                if _is_death(error):
                    return [], _first_line(error)
                raise self._refusal(error) from error
        # read as it is: `return_value` would raise a job's error
        values = [each._return_value for each in returned]
        for value in values:
            if isinstance(value, BaseException) and not _is_death(value):
                raise self._refusal(value) from value
        dead = [value for value in values if isinstance(value, BaseException)]
        reports = [value for value in values if isinstance(value, JobReport)]
        return reports, _first_line(dead[0]) if dead else ""

    def _leaves_this_machine(self) -> bool:
        """Whether jobs may run elsewhere; a Ray without an address is one of this machine."""
        ray = self.kind == "McalcRayLauncher"
        address = self.master.hydra.launcher.get("address") or os.environ.get("RAY_ADDRESS")
        return self.kind in _SEVERAL_MACHINES and bool(address or not ray)

    def _refusal(self, error: BaseException) -> UserError:
        """An error of the launcher itself, in one sentence."""
        if isinstance(error, UserError):
            return error
        return UserError(
            f"{self.kind} cannot run the jobs: {_first_line(error)} (docs/parallel.md)"
        )


def _without_addresses(master: DictConfig) -> DictConfig:
    """A copy without storage and tracking.uri, which may hold a password and no job reads here."""
    kept = copy.deepcopy(master)
    with open_dict(kept):
        for key in ADDRESSES:
            OmegaConf.update(kept, key, None)
        kept.hydra.overrides.task = []
        kept.hydra.job.override_dirname = ""
    return kept


def _is_death(error: BaseException) -> bool:
    """Whether a launcher reports that a job's process or machine died."""
    return isinstance(error, BrokenProcessPool) or any(
        kind.__name__ in _GONE for kind in type(error).__mro__
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {hidden(text[0])[:200] if text else 'no reason given'}"
