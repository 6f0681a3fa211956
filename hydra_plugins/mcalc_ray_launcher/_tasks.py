"""Jobs as Ray tasks; imported when they are launched."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from mcalc.errors import UserError
from mcalc.secret_text import hidden

if TYPE_CHECKING:
    from hydra_plugins.mcalc_ray_launcher.launcher import McalcRayLauncher

# Ray asks the network for usage statistics otherwise; it reads both when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# A job that asks for no GPU shall still see those that its trainer.accelerator may choose.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError as error:
    raise UserError(
        'hydra/launcher=mcalc_ray needs Ray: install it with `pip install "mcalc[ray]"`'
    ) from error

_KNOCK_SECONDS = 10


def run_all(
    launcher: McalcRayLauncher, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run every job on the cluster; FAILED, with Ray's error, for one whose node or process died.

    Raises UserError where the cluster cannot be reached.
    """
    _connect(launcher.address)
    task = ray.remote(_run).options(
        num_cpus=launcher.num_cpus, num_gpus=_gpus(launcher), max_retries=launcher.max_retries
    )
    folder = str(Path.cwd())
    state = Singleton.get_state()
    waiting = []
    for number, overrides in enumerate(job_overrides, start=first):
        composed = launcher.hydra_context.config_loader.load_sweep_config(
            launcher.config, list(overrides)
        )
        with open_dict(composed):
            composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
            composed.hydra.job.num = number
        waiting.append(
            task.remote(folder, launcher.hydra_context, composed, launcher.task_function, state)
        )
    return [_ended(job) for job in waiting]


def _connect(address: str | None) -> None:
    if ray.is_initialized():
        return
    try:
        _knock(address or os.environ.get("RAY_ADDRESS", ""))
        with warnings.catch_warnings():
            # files that Ray's own start-up leaves to the garbage collector
            warnings.simplefilter("ignore", ResourceWarning)
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no Ray cluster answers at {address or os.environ.get('RAY_ADDRESS', 'this machine')} "
            f"({hidden(' '.join(str(error).split()))[:200]}): start one with "
            "`ray start --head`, and give its address as hydra.launcher.address=HOST:6379"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "//" not in address:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()


def _gpus(launcher: McalcRayLauncher) -> float:
    if launcher.num_gpus is not None:
        return launcher.num_gpus
    if str(launcher.config.trainer.accelerator) == "cpu":
        return 0
    there = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
    return 1 / int(launcher.config.trials_per_gpu) if there else 0


def _ended(job: Any) -> JobReturn:
    try:
        returned = ray.get(job)
    except RayTaskError as error:  # the job's own error, not Ray's
        returned = JobReturn(status=JobStatus.FAILED, _return_value=error.cause)
    except RayError as error:
        returned = JobReturn(status=JobStatus.FAILED, _return_value=error)
    assert isinstance(returned, JobReturn)
    return returned


def _run(
    folder: str,
    context: HydraContext,
    composed: DictConfig,
    task_function: TaskFunction,
    state: Mapping[Any, Any],
) -> JobReturn:
    """What a node does, in the folder where the sweep was started: paths may be relative to it."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"the folder where the sweep was started is not there on node {os.uname().nodename}: "
            "start it in one that all nodes share"
        ) from error
    setup_globals()
    Singleton.set_state(dict(state))
    return run_job(
        hydra_context=context,
        task_function=task_function,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
