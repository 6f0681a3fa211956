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
from mcalc.leaving import run_as_program
from mcalc.preemption import handled, leave
from mcalc.secret_text import argument_shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the arguments say, by default those of the process; returns the exit status.

    0: done; 1: a trial that was run again (`from_run`) has other numbers. The process ends with 2
    for a mistake in the command, data or settings or a failed trial, with 75 for a scheduler's
    signal, and with 130 for Ctrl-C.
    """
    with handled(leave):
        return run_command("train", sys.argv[1:] if arguments is None else arguments)


def run(line: Line) -> int:
    """Train the trial or the sweep that the command line describes; returns the exit status.

    Raises UserError for a mistake in the settings or the data, and for a trial that failed.
    """
    from mcalc.config.compose import as_yaml, is_hydras

    given = {each.partition("=")[0] for each in line.overrides}
    if "from_run" in given:
        _check_from_run(line)
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
        raise UserError(f"{argument_shown(hydras[0])} says how a sweep runs: add -m")
    if config.from_run is not None:
        if not config.from_run:
            raise UserError(
                "from_run= has no value: give the id of a trial's run, or its name, as in "
                "from_run=AL3"
            )
        # once more, for one that stands in conf/
        _check_from_run(line)
    if "--cfg job" in line.flags:
        if config.from_run is not None:
            from mcalc.trials import settings_again

            config = settings_again(config, given)
        print(as_yaml(config), end="")
        return 0
    if config.dry_run:
        raise UserError(
            "dry_run=true shows the plan of a sweep: add -m. The settings of one trial: --cfg job"
        )
    if config.from_run is not None:
        from mcalc.trials import require_record

        # before Lightning and MLflow are imported
        require_record(config)
        from mcalc.trials import rerun

        return 0 if rerun(config, given) else 1
    from mcalc.trials import run as run_trial

    for outcome in run_trial(config):
        if outcome.state == "failed":
            raise UserError(f"{outcome.name} failed: {outcome.error}")
    return 0


def _check_from_run(line: Line) -> None:
    """Raise UserError for what cannot stand beside `from_run`, before anything is composed."""
    from mcalc.trials import refuse_other_settings

    if "-m" in line.flags:
        raise UserError("from_run runs one recorded trial again: omit -m")
    refuse_other_settings(line.overrides)


def _run_sweep(line: Line) -> None:
    """Let Hydra hand the arguments to `mcalc.sweep`, with the launcher that they choose."""
    import hydra

    from mcalc.config.compose import CONF_DIR, config_errors, register_schema
    from mcalc.sweep.planning import check_named_files

    check_named_files(line.overrides)
    # errors reach `run_command` whole instead of being printed by Hydra
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    # Hydra reads nothing else
    sys.argv = [sys.argv[0], "-m", *line.overrides]
    with config_errors(line.overrides):
        hydra.main(config_path=str(CONF_DIR), config_name="train", version_base="1.3")(_no_task)()


def _no_task(composed: object) -> None:
    """What Hydra would call for one trial; the sweeper runs trials itself."""
    raise AssertionError(f"not a sweep: {composed}")


if __name__ == "__main__":
    run_as_program(main)
