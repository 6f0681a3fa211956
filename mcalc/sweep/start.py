"""Start a sweep: plan it, and answer mistakes before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

from mcalc.config import Config, KeepModels
from mcalc.errors import UserError
from mcalc.importing import large_imports
from mcalc.logs import log_to_console
from mcalc.results import Outcome
from mcalc.sweep.display import StepProcess
from mcalc.sweep.planning import Compose, Plan, check_stages, check_weight_files, make_plans
from mcalc.training import resolved

if TYPE_CHECKING:
    from mcalc.data import DataCache
    from mcalc.sweep.worker import Execute

_PLANNED = "dry_run=true"
"""As everybody writes it. Another way, or a line in `conf/`, plans as well, a little later."""


class Launcher(Protocol):
    """Other processes to run jobs in."""

    def launch(self, tokens: Sequence[str], config: Config) -> list[list[Outcome]]:
        """Run the jobs of these tokens in the sweep of this config; the outcomes of each."""

    def at_once(self, jobs: int, config: Config) -> int:
        """How many of so many jobs run at once on this machine; 1 where each has one to itself."""


def run_sweep(
    arguments: Sequence[str],
    compose: Compose,
    launcher: Callable[[Sequence[str]], Launcher | None] = lambda _: None,
    execute: Execute | None = None,
) -> list[Outcome]:
    """Run every sweep that the arguments name, or print the plan with `dry_run=true`.

    A failed trial is recorded and the sweep continues.

    Args:
        arguments: `key=value` as after `python -m mcalc.train -m`.
        compose: overrides to the config that they give.
        launcher: makes what runs jobs in other processes, from what a sweep file says of it; None
            from it runs them in this one.
        execute: replaces training (benchmarks).

    Raises UserError for a mistake in the arguments, and at the end if any trial failed.
    """
    log_to_console()
    compose = _once_each(compose)

    @cache
    def data() -> DataCache:
        # late: numpy, which most mistakes are answered without
        from mcalc.data import DataCache

        return DataCache()

    outcomes: list[Outcome] = []
    with StepProcess() as steps:
        if _PLANNED in arguments:
            steps.start()
        plans = make_plans(arguments, compose, resolved, lambda each: data()(each).fingerprint)
        for plan in plans:
            _refuse_from_run(plan)
            _refuse_unranked(plan)
            _refuse_unknown_metrics(plan)
            check_weight_files(plan, compose)
            check_stages(plan, compose)
        planning = compose([word for word in arguments if word.startswith("dry_run=")]).dry_run
        if planning:
            steps.start()
        for plan in plans:
            # late: Optuna and SQLAlchemy
            if planning:
                with large_imports():
                    from mcalc.sweep.opening import show_plan
                show_plan(plan, compose, data(), steps)
            else:
                with large_imports():
                    from mcalc.sweep.engine import run_plan
                outcomes += run_plan(plan, compose, data(), launcher(plan.launcher), execute)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(outcomes)} trials failed (each is recorded with its error; the "
            f"same command tries them again); the first, {failed[0].name}: {failed[0].error}"
        )
    return outcomes


def _once_each(compose: Compose) -> Compose:
    """The same, with a config that was composed before given again: composing takes its time."""

    @cache
    def composed(overrides: tuple[str, ...]) -> Config:
        return compose(overrides)

    return lambda overrides: composed(tuple(overrides))


def _refuse_from_run(plan: Plan) -> None:
    """Raise UserError for a sweep whose file, or `conf/`, sets `from_run`."""
    searched = plan.search.space if plan.search else ()
    configs = (plan.base, *(trial.config for trial in plan.trials))
    if "from_run" in searched or any(config.from_run is not None for config in configs):
        raise UserError(
            f"{plan.title} sets from_run, which runs one recorded trial again: remove it from the "
            "sweep; `python -m mcalc.train from_run=ID` takes one trial"
        )


def _refuse_unranked(plan: Plan) -> None:
    """Raise UserError where the best network is to stay and no validation is to say which."""
    for config in (plan.base, *(trial.config for trial in plan.trials)):
        apart = config.protocol.validation is not None or config.protocol.split_file is not None
        if config.tracking.keep_models is KeepModels.best and not apart:
            raise UserError(
                f"tracking.keep_models=best: nothing ranks the trials of {plan.title} but the set "
                "that is reported, by which none may be chosen: add protocol.validation=0.15, or "
                "keep all or none"
            )


def _refuse_unknown_metrics(plan: Plan) -> None:
    """Raise UserError, as `check_metrics`, before trials train that none of them could score."""
    configs = (plan.base, *(trial.config for trial in plan.trials))
    if names := sorted({name for config in configs for name in config.metrics}):
        # late: scipy, as most plans name none
        from mcalc.evaluation.scores import check_metrics

        check_metrics(names)
