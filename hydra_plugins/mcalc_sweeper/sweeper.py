"""The thin adapter that hands `-m` to mcalc.sweep.

Hydra imports every module of this namespace at every start, so nothing heavy is imported at the
top. It does so without entering the module in sys.modules, where a dataclass with postponed
annotations would look: hence none here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class McalcSweeperConfig:
    """`hydra/sweeper: mcalc`."""

    _target_: str = "hydra_plugins.mcalc_sweeper.sweeper.McalcSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="mcalc", node=McalcSweeperConfig, provider="mcalc"
)


class McalcSweeper(Sweeper):
    """Gives the arguments of a multirun to `mcalc.sweep.run`, and its jobs to Hydra's launcher."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what composes configs and make the launcher that `hydra/launcher` names."""
        from hydra.core.plugins import Plugins

        self._loader = hydra_context.config_loader
        self._master = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Plan and run the sweep that the arguments describe."""
        from mcalc.compose import to_config
        from mcalc.sweep.run import run_sweep

        def compose(overrides: Sequence[str]) -> Any:
            return to_config(self._loader.load_sweep_config(self._master, list(overrides)))

        return run_sweep(arguments, compose, self._launch)

    def _launch(self, overrides: Sequence[str], index: int) -> Any:
        """Run one job and return what its task returned, raising what it raised."""
        (job,) = self.launcher.launch([list(overrides)], initial_job_idx=index)
        return job.return_value
