"""The Hydra door: `python -m mcalc.train`.

Without -m one trial runs, by `mcalc.trials.runner.run`; it is imported late, as a mistyped key
should be answered at once and torch takes seconds to import. With -m the arguments go to
`mcalc.sweep`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from mcalc.config.compose import (
    CONF_DIR,
    config_errors,
    parse_overrides,
    register_schema,
    to_config,
)
from mcalc.errors import UserError, exit_on_user_error

if TYPE_CHECKING:
    from mcalc.results import Outcome


def _task(composed: Any) -> list[Outcome]:
    """What Hydra calls without -m."""
    config = to_config(composed)
    # here and not in `main`, as Hydra would add a line of its own to an error that passes it
    with exit_on_user_error():
        if config.sweep:
            raise UserError(
                f"sweep={config.sweep} runs many trials: add -m, as in "
                f"`python -m mcalc.train -m sweep={config.sweep}`"
            )
        from mcalc.trials.runner import run

        outcomes = run(config)
        for outcome in outcomes:
            if outcome.state == "failed":
                raise UserError(f"{outcome.name} failed: {outcome.error}")
    return outcomes


def main() -> None:
    """The door. Exit status 0: done; 2: a mistake in the command, data or settings; 130: Ctrl-C."""
    import hydra

    # Errors reach `exit_on_user_error` whole instead of being printed by Hydra.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    door = hydra.main(config_path=str(CONF_DIR), config_name="train", version_base="1.3")(_task)
    try:
        with exit_on_user_error(), config_errors():
            parse_overrides([word for word in sys.argv[1:] if "=" in word and word[0] != "-"])
            door()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
