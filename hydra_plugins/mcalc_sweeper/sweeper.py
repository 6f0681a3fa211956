"""The thin adapter that hands `-m` to mcalc.sweep.

Hydra imports every module of this namespace at every start, so nothing heavy is imported at the
top. It does so without entering the module in sys.modules, where a dataclass with postponed
annotations would look: hence none here.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class McalcSweeperConfig:
    """`hydra/sweeper: mcalc`."""

    _target_: str = "hydra_plugins.mcalc_sweeper.sweeper.McalcSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="mcalc", node=McalcSweeperConfig, provider="mcalc"
)


class McalcSweeper(Sweeper):
    """Hands the arguments of a multirun to `mcalc.sweep`, and its jobs to Hydra's launchers."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what composes configs and what the launcher will be made of."""
        self._context = hydra_context
        self._master = config

    def sweep(self, arguments: list[str]) -> Any:
        """Plan and run the sweep that the arguments describe."""
        from mcalc.config.compose import to_config
        from mcalc.sweep import run_sweep

        def compose(overrides: Sequence[str]) -> Any:
            loader = self._context.config_loader
            return to_config(loader.load_sweep_config(self._master, list(overrides)))

        return run_sweep(arguments, compose, self._launcher)

    def _launcher(self, of_file: Sequence[str]) -> Any:
        """The launcher that `hydra/launcher` names; None for Hydra's basic one.

        `of_file`: what the sweep file says of it, where the command line does not.
        """
        from mcalc.sweep.planning import chosen

        master = self._master
        if further := chosen(of_file, list(master.hydra.overrides.hydra)):
            from mcalc.config.compose import config_errors

            with config_errors():
                loaded = self._context.config_loader.load_sweep_config(master, further)
            master = copy.deepcopy(master)
            with open_dict(master):
                master.hydra.launcher = loaded.hydra.launcher
                master.hydra.overrides.hydra = loaded.hydra.overrides.hydra
                master.hydra.runtime.choices = loaded.hydra.runtime.choices
        if str(master.hydra.launcher._target_).endswith("BasicLauncher"):
            return None
        from hydra_plugins.mcalc_sweeper._launching import HydraLauncher

        return HydraLauncher(self._context, master)
