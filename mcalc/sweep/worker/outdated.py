"""What stopped workers left of trials that are planned with other numbers now.

A new version of the code's numerics, or an edited row, makes another trial of the same name. The
same command runs that one, and does not resume the one before. Its checkpoint stays: who goes back
to the earlier code, or row, goes on from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import TrialState

from mcalc.config import PlannedTrial
from mcalc.sweep.store import OUTDATED, Owner, SweepStudy, run_ids, trajectory_of
from mcalc.sweep.worker.context import WorkerContext
from mcalc.sweep.worker.explicit import close_cancelled
from mcalc.tracking import interrupt


def void_given_up(study: SweepStudy) -> None:
    """Let configurations count no longer whose worker was killed as it gave them up."""
    for attempt in study.attempts():
        if attempt.state is TrialState.FAIL and attempt.user_attrs.get("error") == OUTDATED:
            study.void(attempt.number, OUTDATED)


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
