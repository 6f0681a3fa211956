"""What stopped workers left of trials that are planned with other numbers now.

A new version of the code's numerics, or an edited row, makes another trial of the same name. The
same command runs that one, and does not resume the one before. Its checkpoint stays: who goes back
to the earlier code, or row, goes on from it. A search draws another configuration in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from optuna.trial import TrialState

from mcalc.config import PlannedTrial
from mcalc.results import Outcome
from mcalc.sweep.store import HALF_DRAWN, OUTDATED, Owner, SweepStudy, run_ids, trajectory_of
from mcalc.sweep.worker.context import WorkerContext
from mcalc.sweep.worker.explicit import close_cancelled
from mcalc.tracking import interrupt

_log = logging.getLogger(__name__)


def void_given_up(study: SweepStudy) -> None:
    """Let configurations count no longer whose worker was killed as it gave them up."""
    for attempt in study.attempts():
        error = attempt.user_attrs.get("error")
        if attempt.state is TrialState.FAIL and error in (OUTDATED, HALF_DRAWN):
            study.void(attempt.number, str(error))


def give_up(context: WorkerContext, number: int, runs: Iterable[str], why: str) -> Outcome:
    """Let a configuration that runs count no longer; another one is drawn in its place."""
    name = f"#{number}"
    for run_id in runs:
        interrupt(context.tracker, run_id, why)
        context.tracker.supersede(run_id, f"nothing: {why}")
    _log.info(f"  {name} {why}: another configuration takes its place")
    outcome = Outcome(name, "", "failed", None, {}, why)
    context.study.end(number, outcome, None)
    context.study.void(number, why)
    return replace(outcome, state="left")


def close_outdated(context: WorkerContext, planned: Sequence[PlannedTrial]) -> None:
    """Close open attempts at other trials of the planned names, unless a worker has them."""
    keys = {trial.name: trial.key for trial in planned}
    study = context.study
    for attempt in study.running():
        name, key = (str(attempt.user_attrs.get(fact, "")) for fact in ("name", "key"))
        if keys.get(name, key) == key:
            continue
        with context.leases.acquire(trajectory_of(attempt)) as held:
            if isinstance(held, Owner) or not study.is_running(attempt.number):
                continue
            for run_id in run_ids(attempt):
                interrupt(context.tracker, run_id, OUTDATED)
            close_cancelled(study, name, attempt.number, OUTDATED)
