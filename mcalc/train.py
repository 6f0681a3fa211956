"""`python -m mcalc.train`: train one trial, or with -m a sweep.

Torch and all that needs it is imported where training begins: a mistyped key is answered at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mcalc.command_line import run_command
from mcalc.config import Line
from mcalc.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the arguments say, by default those of the process.

    Exit status 0: done; 2: a mistake in the command, data or settings, or a failed trial; 130:
    Ctrl-C.
    """
    run_command("train", sys.argv[1:] if arguments is None else arguments)


def run(line: Line) -> int:
    """Train the trial or the sweep that the command line describes.

    Raises UserError for a mistake in the settings or the data, and for a trial that failed.
    """
    from mcalc.config.compose import as_yaml, is_hydras

    if "-m" in line.flags and "--cfg job" not in line.flags:
        _run_sweep(line)
        return 0
    config = line.config()
    if config.sweep:
        raise UserError(
            f"sweep={config.sweep} runs many trials: add -m, as in "
            f"`python -m mcalc.train -m sweep={config.sweep}`"
        )
    if hydras := [each for each in line.overrides if is_hydras(each.partition("=")[0])]:
        raise UserError(f"{hydras[0]} says how a sweep runs: add -m")
    if "--cfg job" in line.flags:
        print(as_yaml(config), end="")
        return 0
    if config.dry_run:
        raise UserError(
            "dry_run=true shows the plan of a sweep: add -m. The settings of one trial: --cfg job"
        )
    from mcalc.trials import run as run_trial

    for outcome in run_trial(config):
        if outcome.state == "failed":
            raise UserError(f"{outcome.name} failed: {outcome.error}")
    return 0


def _run_sweep(line: Line) -> None:
    """Let Hydra hand the arguments to `mcalc.sweep`, with the launcher that they choose."""
    import hydra

    from mcalc.config.compose import CONF_DIR, config_errors, register_schema

    # errors reach `run_command` whole instead of being printed by Hydra
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    # Hydra reads nothing else
    sys.argv = [sys.argv[0], "-m", *line.overrides]
    with config_errors():
        hydra.main(config_path=str(CONF_DIR), config_name="train", version_base="1.3")(_no_task)()


def _no_task(composed: object) -> None:
    """What Hydra would call for one trial; the sweeper runs trials itself."""
    raise AssertionError(f"not a sweep: {composed}")


if __name__ == "__main__":
    main()
