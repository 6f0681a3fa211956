"""Hydra's launchers, as the sweep engine uses them: joblib, Submitit (Slurm), Ray.

Nothing heavy is imported at the top, as Hydra imports this module at every start. Its own basic
launcher is not among them: it would compose each config anew to run the job in
this very process, where `mcalc.sweep` has the config at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

_BASIC = "BasicLauncher"
_JOBLIB = "JoblibLauncher"
_SUBMITIT_LOCAL = "LocalLauncher"


def launcher_of(context: HydraContext, config: DictConfig) -> Any:
    """The launcher that `hydra/launcher` names; None for Hydra's basic one."""
    from mcalc.sweep.run import Launcher

    target = str(config.hydra.launcher._target_)
    if target.endswith(_BASIC):
        return None

    def at_once(jobs: int) -> int:
        if target.endswith(_JOBLIB):
            wanted = int(config.hydra.launcher.n_jobs)
            return min(jobs, wanted if wanted > 0 else _places(config))
        # Submitit's local executor starts all at once; a scheduler gives each a place of its own
        return jobs if target.endswith(_SUBMITIT_LOCAL) else 1

    def launch(jobs: Sequence[Sequence[str]]) -> list[list[Any]]:
        if target.endswith(_JOBLIB):
            with open_dict(config):
                config.hydra.launcher.n_jobs = at_once(len(jobs))
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_composed, config=config
        )
        returned = launcher.launch([list(job) for job in jobs], initial_job_idx=0)
        return [_outcomes(job.return_value) for job in returned]

    return Launcher(launch, at_once)


def run_composed(composed: DictConfig) -> list[Any]:
    """What a launcher calls in its own process: one job of a sweep."""
    from mcalc.compose import to_config
    from mcalc.sweep.job import run_job

    return run_job(to_config(composed))


def _outcomes(returned: Any) -> list[Any]:
    return list(returned or [])


def _places(config: DictConfig) -> int:
    """How many jobs this machine takes at once: by its GPUs, else by its cores."""
    import torch

    from mcalc.compose import to_config
    from mcalc.trajectory import ALL_CORES, uses_gpu

    settings = to_config(config)
    if uses_gpu(settings.trainer):
        return torch.cuda.device_count() * settings.trials_per_gpu
    return max(1, ALL_CORES // (settings.trainer.threads or 1))
