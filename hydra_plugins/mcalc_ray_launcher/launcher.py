"""`hydra/launcher=mcalc_ray`: each job of a sweep is a Ray task, on any node with free resources.

The hydra-ray-launcher of PyPI pins cloudpickle below 3 and brings boto3 and AWS's autoscaler; and
it gives up all jobs when one node dies. Ray itself is imported late (`_tasks`), as Hydra imports
this module at every start, without entering it in sys.modules: hence no postponed annotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class McalcRayLauncherConf:
    """Settings below `hydra.launcher`."""

    _target_: str = "hydra_plugins.mcalc_ray_launcher.launcher.McalcRayLauncher"
    address: Optional[str] = None  # noqa: UP045 - OmegaConf reads it without postponed annotations
    """A running cluster (`auto`, HOST:6379); null: RAY_ADDRESS, or else a Ray of this machine."""
    num_cpus: float = 1
    """Cores that Ray reserves for a job: its threads where trainer.threads says nothing."""
    num_gpus: Optional[float] = None  # noqa: UP045
    """GPUs of a job; null: a share by trials_per_gpu where the cluster has GPUs, else none."""
    max_retries: int = 3
    """How often Ray runs a job again whose node or process died."""


ConfigStore.instance().store(
    group="hydra/launcher", name="mcalc_ray", node=McalcRayLauncherConf, provider="mcalc"
)


class McalcRayLauncher(Launcher):
    """Runs jobs as Ray tasks. A job that ended without an answer comes back as FAILED."""

    def __init__(
        self,
        address: Optional[str],  # noqa: UP045
        num_cpus: float,
        num_gpus: Optional[float],  # noqa: UP045
        max_retries: int,
    ) -> None:
        self.address = address
        self.num_cpus = num_cpus
        self.num_gpus = num_gpus
        self.max_retries = max_retries

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what a job needs."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run all jobs; returns when each has ended."""
        from hydra_plugins.mcalc_ray_launcher._tasks import run_all

        return run_all(self, job_overrides, initial_job_idx)
