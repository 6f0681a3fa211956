"""A worker's part of explicit trials: those of one training run."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from mcalc.config import PlannedTrial
from mcalc.errors import CancelledError
from mcalc.results import CurvePoint, Outcome, TrialResult
from mcalc.sweep.store import EVALUATED, Job, Lease, Owner, SweepStudy
from mcalc.sweep.worker.context import LeaseListener, WorkerContext, is_done, skipped, with_retries
from mcalc.training import Listener
from mcalc.trials import Work

if TYPE_CHECKING:
    from mcalc.training.checkpoint import Weights

_log = logging.getLogger(__name__)


class Rows:
    """Planned trials that share a training run."""

    def __init__(
        self, context: WorkerContext, job: Job, listeners: Sequence[Listener] = ()
    ) -> None:
        """`listeners`: of their training, called before all that concerns its record."""
        self.context = context
        self.job = job
        self.listeners = listeners
        self.config = job.trials[0].config
        self.trials = {trial.key: trial for trial in job.trials}

    def run(self) -> Work:
        """Outcomes of all of them; `left` for those that another worker runs."""
        with self.context.leases.acquire(self.job.trials[0].trajectory) as held:
            if isinstance(held, Owner):
                return [
                    Outcome(trial.name, key, "left", None, {}, str(held))
                    for key, trial in self.trials.items()
                ]
            newest = self.context.study.newest(self.trials)
            done = [
                skipped(newest[key])
                for key in self.trials
                if not self.config.rerun and is_done(newest.get(key))
            ]
            ended = {outcome.key for outcome in done}
            keys = [key for key in self.trials if key not in ended]

            def attempt(keys: Sequence[str], first: bool) -> Work:
                known = newest if first else self.context.study.newest(self.trials)
                return self._attempt(keys, known, held)

            ended_now = yield from with_retries(attempt, keys, self.config.retries)
            return [*done, *ended_now]

    def _attempt(
        self, keys: Sequence[str], newest: Mapping[str, FrozenTrial], lease: Lease
    ) -> Work:
        before = {key: newest[key] for key in keys if key in newest}
        kept = [] if self.config.rerun else self._kept(before)
        left = [key for key in keys if key not in {outcome.key for outcome in kept}]
        if not left:
            return kept
        known_runs = {
            key: str(attempt.user_attrs["mlflow_run"])
            for key, attempt in before.items()
            if "mlflow_run" in attempt.user_attrs and not is_done(attempt)
        }
        numbers = {key: self._begin(key, before.get(key)) for key in left}
        listener = _AttemptListener(self, numbers, before, lease)
        trials = [self.trials[key] for key in left]
        try:
            outcomes = yield from self.context.run(
                trials, [*self.listeners, listener], known_runs, self.job
            )
            return kept + outcomes
        except CancelledError as error:
            # their runs in MLflow are closed already
            for key, number in numbers.items():
                close_cancelled(self.context.study, self.trials[key].name, number, str(error))
            raise

    def _begin(self, key: str, before: FrozenTrial | None) -> int:
        trial = self.trials[key]
        space = self.context.study.parameters.space(trial.values)
        return self.context.study.begin(trial, space, before)

    def _kept(self, before: Mapping[str, FrozenTrial]) -> list[Outcome]:
        """Trials finished in MLflow whose worker died before reporting to the study."""
        kept = []
        for key, attempt in before.items():
            run_id = attempt.user_attrs.get("mlflow_run")
            if attempt.state is not TrialState.RUNNING or not run_id:
                continue
            run = self.context.tracker.run(run_id)
            if run is not None and run.state in ("finished", "pruned"):
                outcome = replace(run.outcome, name=self.trials[key].name)
                kept.append(self.keep(outcome, attempt))
        return kept

    def keep(self, outcome: Outcome, before: FrozenTrial | None = None) -> Outcome:
        """Report a trial to the study that is finished or pruned in MLflow."""
        number = self._begin(outcome.key, before)
        self.context.study.set(number, {"mlflow_run": outcome.run_id})
        curve: Sequence[CurvePoint] = ()
        with suppress(OSError, ValueError, KeyError, TypeError, csv.Error):  # `check` tells of it
            curve = self.context.tracker.curve_of(str(outcome.run_id))
        accuracy = outcome.metrics.get("accuracy")
        self.context.study.end(number, outcome, accuracy, _evaluations(curve))
        _log.info(f"  {outcome.name} was finished when its worker was stopped: kept")
        return replace(outcome, state="skipped")


def _evaluations(curve: Sequence[CurvePoint]) -> dict[int, float]:
    """What the study keeps of an explicit trial's evaluations, by their numbers from 1."""
    return dict(enumerate((float(getattr(point, EVALUATED)) for point in curve), start=1))


def close_cancelled(study: SweepStudy, name: str, number: int, why: str) -> None:
    """End an attempt of a cancelled sweep, unless it has ended: it is resumed as another one."""
    if study.is_running(number):
        study.end(number, Outcome(name, "", "failed", None, {}, why), None)


class _AttemptListener(LeaseListener):
    """Reports the trials of a training run to the study."""

    def __init__(
        self,
        rows: Rows,
        numbers: Mapping[str, int],
        before: Mapping[str, FrozenTrial],
        lease: Lease,
    ) -> None:
        super().__init__(lease, rows.context.halts)
        self.study = rows.context.study
        self.tracker = rows.context.tracker
        self.numbers = numbers
        self.before = before
        self._evaluations: dict[str, dict[int, float]] = {}
        """By trial key, the accuracy on what stops training at each evaluation."""

    def finished(self, result: TrialResult, weights: Weights) -> None:
        """Keep the evaluations of a trial until it is recorded."""
        self._keep(result.key, result.curve)

    def pruned(self, trial: PlannedTrial, curve: Sequence[CurvePoint], seconds: float) -> None:
        """Keep the evaluations of a trial until it is recorded."""
        self._keep(trial.key, curve)

    def _keep(self, key: str, curve: Sequence[CurvePoint]) -> None:
        self._evaluations[key] = _evaluations(curve)

    def opened(self, trial: PlannedTrial, run_id: str) -> None:
        """Note the MLflow run of an attempt."""
        self.study.set(self.numbers[trial.key], {"mlflow_run": run_id})

    def recorded(self, outcome: Outcome) -> None:
        """End an attempt; with rerun=true its run replaces the one of an earlier attempt."""
        self.study.end(
            self.numbers[outcome.key],
            outcome,
            outcome.metrics.get("accuracy"),
            self._evaluations.pop(outcome.key, None),
        )
        old = self.before.get(outcome.key)
        if old and is_done(old) and outcome.state == "finished" and outcome.run_id:
            replaced = old.user_attrs.get("mlflow_run")
            if replaced and replaced != outcome.run_id:
                self.tracker.supersede(str(replaced), outcome.run_id)
