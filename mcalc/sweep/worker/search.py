"""A worker's turn at a search: one configuration, a dead worker's or the next that is drawn."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from mcalc.config import PlannedTrial, digest, plan_trial, updated
from mcalc.data import split_of
from mcalc.data.loading import run_length
from mcalc.errors import UserError
from mcalc.results import CurvePoint, Outcome, TrialResult
from mcalc.sweep.planning import Search, Values
from mcalc.sweep.store import (
    DEFINITION,
    HALF_DRAWN,
    OUTDATED,
    Job,
    Lease,
    SweepStudy,
    result,
    undrawn,
)
from mcalc.sweep.worker.context import LeaseListener, WorkerContext, with_retries
from mcalc.sweep.worker.outdated import give_up
from mcalc.training import refuse_precision
from mcalc.trials import finish, forget_checkpoint

if TYPE_CHECKING:
    from mcalc.training.checkpoint import Weights

_log = logging.getLogger(__name__)

_DRAWING = "next configuration"
"""Lease for drawing a configuration: one worker at a time, so that no budget is exceeded."""
_PAUSE = 0.2
NO_OBJECTIVE = (
    "its objective is not a number: an AUC needs both classes in the subset that stops training"
)
"""Error of a configuration whose runs are finished, but cannot be compared."""

_Drawn = tuple[int, Values, Lease, dict[str, str]]
"""A configuration's number in the study, values, lease, and the MLflow runs that it has already."""


class SearchStep:
    """The next configuration of a search, with each of its seeds."""

    def __init__(self, context: WorkerContext, job: Job) -> None:
        assert job.base is not None  # a search's job has one
        self.context = context
        self.job = job
        self.config = job.base
        definition = context.study.facts()[DEFINITION]
        self.search = Search.from_definition(definition, job.base.budget)

    def run(self) -> list[Outcome]:
        """The configuration's outcome; nothing where the budget is used up."""
        with contextlib.ExitStack() as until_done:
            drawn = self._draw(until_done)
            if drawn is None:
                return []
            return [_Configuration(self, *drawn).run()]

    @cached_property
    def _evaluations(self) -> int:
        """How many a whole run has, which the pruner needs to know."""
        data = self.context.data(self.config.data)
        images = len(split_of(data.index, self.config).split.train)
        return max(2, run_length(images, self.config.trainer).evaluations)

    def _draw(self, until_done: contextlib.ExitStack) -> _Drawn | None:
        """What to run, with its lease, which is released when `until_done` closes.

        The lease is acquired before the next worker may draw, to whom the configuration would look
        like one of a dead worker. None where the budget is used up.
        """
        study, leases = self.context.study, self.context.leases
        while True:
            with leases.acquire(_DRAWING) as drawing:
                if isinstance(drawing, Lease):
                    for each in study.running():
                        held = until_done.enter_context(leases.acquire(work_of(each.number)))
                        if not isinstance(held, Lease):
                            continue
                        known = study.attempt(each.number)
                        # its worker may have ended it since
                        if known.state is not TrialState.RUNNING:
                            continue
                        runs = dict(known.user_attrs.get("runs", {}))
                        if undrawn(known, study.definition):
                            give_up(self.context, known.number, runs.values(), HALF_DRAWN)
                            continue
                        refuse_precision(self.config.trainer)
                        study.search_with(self.search, self._evaluations)
                        return known.number, dict(known.params), held, runs
                    if is_used_up(self.search, study):
                        return None
                    refuse_precision(self.config.trainer)
                    # what is drawn follows from how many have been drawn
                    study.search_with(self.search, self._evaluations)
                    number, values = study.ask(self.search)
                    held = until_done.enter_context(leases.acquire(work_of(number)))
                    assert isinstance(held, Lease)  # nobody else knows of it yet
                    return number, values, held, {}
            time.sleep(_PAUSE)


class _Configuration:
    """One attempt of the study."""

    def __init__(
        self, step: SearchStep, number: int, values: Values, lease: Lease, runs: dict[str, str]
    ) -> None:
        """`runs`: MLflow run by trial key, one a seed, of those that a dead worker began."""
        self.step = step
        self.context = step.context
        self.number = number
        self.name = f"#{number}"
        self.values = values
        self.lease = lease
        self.runs = runs
        self.curve: Sequence[CurvePoint] = ()
        """Of the first seed's finished run."""

    def run(self) -> Outcome:
        """Run it with each seed, unless another attempt at the same configuration is complete."""
        try:
            trials = self._trials()
        except UserError as error:
            _log.error(f"  {self.name} failed: {error}")
            return self._end(Outcome(self.name, "", "failed", None, {}, str(error)))
        if not {trial.key for trial in trials}.issuperset(self.runs):
            # the numerics of the code or the data changed since, and its evaluations are the
            # pruner's, which cannot be exchanged
            return give_up(self.context, self.number, self.runs.values(), OUTDATED)
        # with one seed a configuration is a trial
        first, *others = trials
        key = digest([trial.key for trial in trials]) if others else first.key
        whole = replace(first, name=self.name, key=key, values=self.values)
        self.context.study.describe(self.number, whole)
        while True:
            # two workers may have drawn one configuration at once
            with self.context.leases.acquire(f"key {key}") as held:
                if isinstance(held, Lease):
                    return self._copy(key) or self._train(trials, key)
            time.sleep(_PAUSE)

    def _copy(self, key: str) -> Outcome | None:
        """The outcome of another attempt at the same configuration, if one is complete."""
        study = self.context.study
        others = [
            attempt
            for attempt in study.attempts_at(key)
            if attempt.number != self.number and attempt.state is TrialState.COMPLETE
        ]
        if not others:
            return None
        _log.info(f"  {self.name} is the configuration of #{others[0].number}: not run again")
        study.set(self.number, {"copy_of": others[0].number})
        return self._end(Outcome(self.name, key, "finished", None, {}), others[0].value)

    def _train(self, trials: Sequence[PlannedTrial], key: str) -> Outcome:
        outcomes: list[Outcome] = []
        for trial in trials:
            outcomes.append(self._seed(trial, first=not outcomes))
            if outcomes[-1].state != "finished":
                return self._end(replace(outcomes[-1], key=key, name=self.name))
        mean, value = self._mean(key, outcomes), self._value(outcomes)
        if math.isnan(value):
            mean = replace(mean, state="failed", error=NO_OBJECTIVE, retry=False)
        return self._end(mean, value)

    def _trials(self) -> list[PlannedTrial]:
        """One trial per seed."""
        chosen: dict[str, Any] = {}
        for key, value in self.values.items():
            for name, setting in self.step.job.sections.get(key, {}).get(str(value), {}).items():
                chosen[f"{key}.{name}"] = setting
        single = {key: v for key, v in self.values.items() if key not in self.step.job.sections}
        config = updated(self.step.config, {**chosen, **single})
        data = self.context.data(config.data).fingerprint
        seeds = self.step.search.seeds or (config.seed,)
        names = [f"{self.name}, seed={seed}" if len(seeds) > 1 else self.name for seed in seeds]
        return [
            plan_trial(name, replace(config, seed=seed), data)
            for name, seed in zip(names, seeds, strict=True)
        ]

    def _seed(self, trial: PlannedTrial, *, first: bool) -> Outcome:
        """One trial; a search with several seeds prunes by the first one's evaluations."""
        known = self.context.tracker.run(self.runs[trial.key]) if trial.key in self.runs else None
        if known is not None and known.state in ("finished", "pruned"):
            forget_checkpoint(trial)
            if first:
                self.curve = self.context.tracker.curve_of(known.run_id)
            return Outcome(
                trial.name,
                trial.key,
                known.state,
                known.run_id,
                known.metrics,
                manifest=known.manifest,
            )
        listener = _ConfigurationListener(self, first=first)
        work = with_retries(
            lambda _keys, _first: self.context.run(
                [trial], [listener], dict(self.runs), self.step.job
            ),
            [trial.key],
            trial.config.retries,
        )
        # what is drawn next depends on it
        (outcome,) = finish(work)
        return outcome

    def _end(self, outcome: Outcome, value: float | None = None) -> Outcome:
        # the pruner is not asked about an evaluation that ends a run, but has it for later ones
        evaluations = {step: self.judged(point) for step, point in enumerate(self.curve, start=1)}
        self.context.study.end(self.number, outcome, value, evaluations)
        return outcome

    def judged(self, point: CurvePoint) -> float:
        """The objective at an evaluation."""
        return float(getattr(point, self.step.search.objective))

    def _value(self, outcomes: Sequence[Outcome]) -> float:
        name = f"reported_{self.step.search.objective}"
        return fmean(outcome.metrics.get(name, math.nan) for outcome in outcomes)

    def _mean(self, key: str, outcomes: Sequence[Outcome]) -> Outcome:
        if len(outcomes) == 1:
            return replace(outcomes[0], name=self.name)
        common = set.intersection(*(set(outcome.metrics) for outcome in outcomes))
        # an interval of a mean is not the mean of intervals
        kept = {name for name in common if not name.endswith(("_low", "_high"))}
        metrics = {name: fmean(outcome.metrics[name] for outcome in outcomes) for name in kept}
        metrics["seconds"] = sum(outcome.metrics["seconds"] for outcome in outcomes)
        return Outcome(self.name, key, "finished", outcomes[-1].run_id, metrics)


class _ConfigurationListener(LeaseListener):
    """Reports the trials of a configuration to the study, which may prune them."""

    def __init__(self, configuration: _Configuration, *, first: bool) -> None:
        """`first`: whether it is the first seed's, by whose evaluations a search prunes."""
        super().__init__(configuration.lease, configuration.context.halts)
        self.configuration = configuration
        self.study = configuration.context.study
        self.is_first = first

    def opened(self, trial: PlannedTrial, run_id: str) -> None:
        """Note the MLflow run of each seed."""
        runs = self.configuration.runs
        runs[trial.key] = run_id
        self.study.set(self.configuration.number, {"runs": runs, "mlflow_run": run_id})

    def prunes(self, trial: PlannedTrial, evaluation: int, point: CurvePoint) -> bool:
        """Report an evaluation; the study's pruner answers."""
        if not self.is_first:
            return False
        value = self.configuration.judged(point)
        return self.study.report(self.configuration.number, evaluation, value)

    def finished(self, result: TrialResult, weights: Weights) -> None:
        """Keep the evaluations, of which the pruner was not asked about the last."""
        if self.is_first:
            self.configuration.curve = result.curve


def work_of(number: int) -> str:
    """Name of the lease on a configuration."""
    return f"configuration {number}"


def is_used_up(search: Search, study: SweepStudy) -> bool:
    """Whether the budget allows no further configuration."""
    if search.trials is not None and study.count() >= search.trials:
        return True
    if search.hours is None:
        return False
    spent = sum(result(attempt).get("seconds", 0.0) for attempt in study.attempts())
    return spent >= search.hours * 3600
