"""What the jobs of one sweep share in one process, and how each runs its training run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from optuna.trial import FrozenTrial

from mcalc.config import Config, PlannedTrial, joined
from mcalc.console import Display
from mcalc.data import DataCache, IndexedData
from mcalc.errors import CutOffError, StoppedError, UserError
from mcalc.importing import large_imports
from mcalc.results import CurvePoint, Outcome
from mcalc.sweep.store import (
    DONE,
    Halts,
    Job,
    Lease,
    Leases,
    Storage,
    SweepStudy,
    result,
    storage_url,
)
from mcalc.sweep.worker.resources import cpu_share, gpu_slot
from mcalc.training import Listener, Placement, TrainingProgress
from mcalc.trials import SweepRecord, Waits, Work, finish, next_turn, open_tracker

if TYPE_CHECKING:
    # MLflow, which a plan does not need
    from mcalc.tracking import Tracker

_log = logging.getLogger(__name__)

Execute: TypeAlias = """Callable[
    [Sequence[PlannedTrial], IndexedData, Tracker, Sequence[Listener], SweepRecord, Placement],
    Work,
]"""
"""What runs the trials of a training run and records them: `mcalc.trials.runner.run_trials`."""


class WorkerContext:
    """What the jobs of one sweep share in one process: the stores, opened once, and the data.

    Raises UserError where a store cannot be opened or does not know the sweep.
    """

    def __init__(
        self,
        config: Config,
        sweep: str,
        *,
        storage: Storage | None = None,
        study: SweepStudy | None = None,
        execute: Execute | None = None,
        display: Display | None = None,
        data: DataCache | None = None,
    ) -> None:
        self.storage = storage or Storage(storage_url(config), config.storage_wait)
        found = study or SweepStudy.find(self.storage, sweep)
        if found is None:
            raise UserError(f"the store knows no sweep {sweep!r}: was it deleted while it ran?")
        self.study = found
        self.leases = Leases(self.storage, sweep)
        self.halts = Halts(self.storage, sweep)
        self.tracker = open_tracker(config)
        self._execute = execute
        self.display = display
        self.data = data or DataCache()

    def run(
        self,
        trials: Sequence[PlannedTrial],
        listeners: Sequence[Listener],
        known_runs: Mapping[str, str],
        job: Job,
    ) -> Work:
        """Run the trials of one training run on this job's share of the machine.

        `known_runs`: MLflow runs of earlier attempts by trial key.
        """
        config = trials[0].config
        progress = TrainingProgress(joined([trial.name for trial in trials]), self.display)
        within = SweepRecord(job.sweep, job.parent, known_runs)
        with gpu_slot(config.trainer, config.trials_per_gpu) as gpu:
            placement = Placement(gpu, cpu_share(config.trainer, job.beside))
            work = self._execute_or_train()(
                trials,
                self.data(config.data),
                self.tracker,
                [progress, *listeners],
                within,
                placement,
            )
            state = next_turn(work)
        # what has trained needs its place on a GPU no longer
        if isinstance(state, Waits):
            yield state
            return finish(work)
        return state

    def _execute_or_train(self) -> Execute:
        if self._execute:
            return self._execute
        # late: PyTorch and Lightning, which a sweep that is finished does not need
        with large_imports():
            from mcalc.trials import run_trials

        return run_trials


class LeaseListener(Listener):
    """Lets nothing be recorded once another worker has taken the work over, or work is to stop."""

    def __init__(self, lease: Lease, halts: Halts) -> None:
        self.lease = lease
        self.halts = halts

    def stops(self) -> StoppedError | None:
        """Stop where the sweep was paused or cancelled."""
        halt = self.halts.now(wait=False)
        return halt.error() if halt else None

    def evaluated(self, point: CurvePoint, running: Sequence[PlannedTrial]) -> None:
        """Before a curve grows: raise CutOffError where the lease was lost."""
        self._check(", ".join(trial.name for trial in running), wait=False)

    def saving(self, iteration: int) -> None:
        """Before a checkpoint is written: raise CutOffError where the lease was lost."""
        self._check(f"iteration {iteration}", wait=False)

    def recording(self, trial: PlannedTrial) -> None:
        """Before a result is recorded: raise CutOffError where the lease was lost."""
        self._check(trial.name, wait=True)

    def _check(self, what: str, *, wait: bool) -> None:
        if not self.lease.held(wait=wait):
            raise CutOffError(
                f"{what}: another worker took this one for dead and resumes its trials; "
                "nothing is recorded here (was this machine asleep?)"
            )


def is_done(attempt: FrozenTrial | None) -> bool:
    """Whether this attempt is complete or pruned."""
    return attempt is not None and attempt.state in DONE


def skipped(attempt: FrozenTrial) -> Outcome:
    """The outcome of a trial that was complete or pruned before."""
    known = attempt.user_attrs
    metrics = {} if attempt.value is None else {"accuracy": float(attempt.value)}
    metrics |= result(attempt)
    return Outcome(
        str(known["name"]), str(known["key"]), "skipped", known.get("mlflow_run"), metrics
    )


def with_retries(
    attempt: Callable[[Sequence[str], bool], Work], keys: Sequence[str], retries: int
) -> Work:
    """Outcomes of `attempt` on the trials with these keys, those that failed tried again.

    `attempt` gets the keys to run, and whether this is the first attempt. There is a turn for the
    caller before another one.
    """
    ended: list[Outcome] = []
    for retry in range(retries + 1):
        if not keys:
            break
        if retry:
            yield Waits.to_try_again
        outcomes = yield from attempt(keys, not retry)
        failed = [o for o in outcomes if o.state == "failed" and o.retry and retry < retries]
        keys = [outcome.key for outcome in failed]
        ended += [outcome for outcome in outcomes if outcome.key not in keys]
        for outcome in failed:
            _log.warning(
                f"  {outcome.name} failed: {outcome.error}; trying again ({retry + 1} of {retries})"
            )
    for outcome in ended:
        if outcome.state == "failed":
            _log.error(f"  {outcome.name} failed: {outcome.error}")
    return ended
