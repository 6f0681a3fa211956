"""A recorded trial gets the name that its row has now: rows were renamed, moved or swapped.

A trial is known by its settings, and does not run again because its row is called otherwise. Its
run in MLflow is renamed, with a tag that says what it was recorded as. In Optuna, which changes no
attempt that has ended, one of the new name takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState, create_trial

from mcalc.config import PlannedTrial
from mcalc.sweep.store import Owner, SweepStudy, run_ids, trajectory_of
from mcalc.sweep.worker.context import WorkerContext
from mcalc.tracking import call_run


def call_as_planned(context: WorkerContext, planned: Sequence[PlannedTrial]) -> bool:
    """Give recorded trials their rows' names, but for those that a worker has; whether any got one.

    Whoever is killed here does the rest again.
    """
    study, names = context.study, {trial.key: trial.name for trial in planned}
    others = dict.fromkeys(
        str(each.user_attrs["key"]) for each in study.attempts() if _is_called_else(each, names)
    )
    renamed = False
    for key in others:
        last = study.attempts_at(key)[-1]
        with context.leases.acquire(trajectory_of(last)) as held:
            if isinstance(held, Owner):
                continue
            attempts = study.attempts_at(key)
            # a server does not have all of these yet
            kept = {str(run.info.run_id) for run in context.tracker.unsent.runs()}
            if any(kept.intersection(run_ids(each)) for each in attempts):
                continue
            for run_id in run_ids(attempts[-1]):
                call_run(context.tracker, run_id, names[key])
            _call_attempts(study, attempts, names)
            renamed = True
    return renamed


def _is_called_else(attempt: FrozenTrial, names: Mapping[str, str]) -> bool:
    key, name = (str(attempt.user_attrs.get(fact, "")) for fact in ("key", "name"))
    return names.get(key, name) != name


def _call_attempts(
    study: SweepStudy, attempts: Sequence[FrozenTrial], names: Mapping[str, str]
) -> None:
    """Let attempts at one trial, in their order, have its name; of ended ones the last counts."""
    *_, last = attempts
    name = names[str(last.user_attrs["key"])]
    if _is_called_else(last, names):
        if last.state is TrialState.RUNNING:
            study.set(last.number, {"name": name})
        else:
            # before the other one is void: a kill in between leaves two, and not none
            study.study.add_trial(
                create_trial(
                    state=last.state,
                    value=last.value,
                    params=last.params,
                    distributions=last.distributions,
                    user_attrs={**last.user_attrs, "name": name},
                    system_attrs=last.system_attrs,
                    intermediate_values=last.intermediate_values,
                )
            )
    for each in attempts:
        if _is_called_else(each, names) and each.state is not TrialState.RUNNING:
            study.void(each.number, f"its row is called {name} now")
