"""Hydra's launchers, as the sweep engine uses them: joblib, Submitit (local, Slurm), Ray.

Nothing heavy is imported at the top, as Hydra imports this module at every start. Its own basic
launcher is not among them: it would compose each config anew to run the job in
this very process, where `mcalc.sweep` has the config at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from mcalc.errors import UserError
    from mcalc.results import Outcome
    from mcalc.sweep.worker.remote import Ended

_BASIC = "BasicLauncher"
_JOBLIB = "JoblibLauncher"
_SUBMITIT_LOCAL = "LocalLauncher"
_SEVERAL_MACHINES = ("SlurmLauncher", "McalcRayLauncher")
_GONE = ("UncompletedJobError", "FailedJobError", "RayError")
"""What Submitit and Ray raise for a job that ended without an answer."""


def launcher_of(context: HydraContext, config: DictConfig) -> Any:
    """The launcher that `hydra/launcher` names; None for Hydra's basic one."""
    from mcalc.sweep.engine import Launcher

    target = str(config.hydra.launcher._target_)
    if target.endswith(_BASIC):
        return None
    launching = _Launching(context, config, target.rsplit(".", 1)[-1])
    return Launcher(launching.launch, launching.at_once)


class _Launching:
    """One of Hydra's launchers, for one sweep."""

    def __init__(self, context: HydraContext, config: DictConfig, kind: str) -> None:
        from mcalc.sweep.worker.remote import task

        self.context = context
        self.config = config
        self.kind = kind
        self.task = task()
        self.deaths = 0

    def at_once(self, jobs: int) -> int:
        """How many of so many jobs share this machine at once."""
        if self.kind in _SEVERAL_MACHINES:
            return 1  # a scheduler gives each a place of its own
        wanted = int(self.config.hydra.launcher.get("n_jobs", -1))
        return min(jobs, wanted if wanted > 0 else _places(self.config))

    def launch(self, jobs: Sequence[Sequence[str]]) -> list[list[Outcome]]:
        """Run the jobs; returns the outcomes of each.

        A job is safe to give again: what is done is skipped, what another worker is at is left.
        Hence all are given again where a worker was killed, as often as `retries` says.

        Raises UserError where a job could not run at all, or workers die over and over.
        """
        from mcalc.console import console
        from mcalc.errors import UserError

        while True:
            ended, killed = self._round(jobs)
            for each in ended:
                if each.trace:
                    console.print(each.trace, style="red")
            if errors := [each.error for each in ended if each.error]:
                raise UserError(f"a job of {self.kind} could not run: {errors[0]}")
            if not killed:
                return [each.outcomes for each in ended]
            self.deaths += 1
            if self.deaths > self.config.retries:
                raise UserError(
                    f"a job of {self.kind} ended without an answer, {self.deaths} times now "
                    f"({killed}). Was it out of memory, or of its time? What is finished is kept; "
                    "run fewer jobs at once or give each more, and give the same command again"
                )
            console.print(
                f"a job of {self.kind} ended without an answer ({killed}); giving what is left to "
                f"new ones ({self.deaths} of {self.config.retries})",
                style="yellow",
            )

    def _round(self, jobs: Sequence[Sequence[str]]) -> tuple[list[Ended], str]:
        """What every job came to; beside it, what is known of those that did not end."""
        from mcalc.sweep.worker.remote import Ended

        step = len(jobs)
        if self.kind == _JOBLIB:
            with open_dict(self.config):
                self.config.hydra.launcher.n_jobs = self.at_once(len(jobs))
        elif self.kind == _SUBMITIT_LOCAL:
            step = self.at_once(len(jobs))  # it starts all that it is given
        returned: list[JobReturn] = []
        for start in range(0, len(jobs), step):
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=self.context, task_function=self.task, config=self.config
            )
            try:
                returned += launcher.launch(
                    [list(job) for job in jobs[start : start + step]], initial_job_idx=start
                )
            except Exception as error:
                if _is_death(error):
                    return [], _first_line(error)
                raise _refusal(self.kind, error) from error
        # read as it is: `return_value` would print the overrides, which may hold a password
        values = [job._return_value for job in returned]
        for value in values:
            if isinstance(value, BaseException) and not _is_death(value):
                raise _refusal(self.kind, value) from value
        ended = [value for value in values if isinstance(value, Ended)]
        dead = [value for value in values if isinstance(value, BaseException)]
        return ended, _first_line(dead[0]) if dead else ""


def _is_death(error: BaseException) -> bool:
    """Whether a launcher says so that a job's process or machine went away."""
    return isinstance(error, BrokenProcessPool) or any(
        kind.__name__ in _GONE for kind in type(error).__mro__
    )


def _refusal(kind: str, error: BaseException) -> UserError:
    """What goes wrong in a launcher itself, in one sentence."""
    from mcalc.errors import UserError

    if isinstance(error, UserError):
        return error
    return UserError(f"{kind} cannot run the jobs: {_first_line(error)} (docs/parallel.md)")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else 'no reason given'}"


def _places(config: DictConfig) -> int:
    """How many jobs this machine takes at once: by its GPUs, else by its cores."""
    import torch

    from mcalc.config.compose import to_config
    from mcalc.sweep.worker.resources import cores_here
    from mcalc.training.device import uses_gpu

    settings = to_config(config)
    if uses_gpu(settings.trainer):
        return torch.cuda.device_count() * settings.trials_per_gpu
    return max(1, cores_here() // (settings.trainer.threads or 1))
