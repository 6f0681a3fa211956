"""A worker's turn at explicit trials: those of one training run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from mcalc.config.compose import GROUPS, choices
from mcalc.config.identity import trajectory_key
from mcalc.config.schema import Config
from mcalc.console import console
from mcalc.results import Outcome
from mcalc.sweep.planning.sweep_file import Values
from mcalc.sweep.store.leases import Lease, Owner
from mcalc.sweep.store.study import Attempt
from mcalc.sweep.worker.context import Workplace, is_done, skipped, with_retries
from mcalc.trials.runner import Watch, trials_of


class Rows:
    """The trials of `config.job.trials`, which share a training run."""

    def __init__(self, place: Workplace, config: Config) -> None:
        self.place = place
        self.config = config
        data = place.data(config).fingerprint
        specs = config.job.trials
        trials = trials_of(config, specs, data)
        self.trajectory = trajectory_key(config, data)
        self.trials = {trial.key: trial for trial in trials}
        self.attempts = {
            trial.key: Attempt(
                key=trial.key,
                name=trial.name,
                trajectory=self.trajectory,
                values=json.loads(spec.values),
                config=replace(config, stopping=replace(config.stopping, patience=trial.patience)),
                fingerprint=data,
            )
            for trial, spec in zip(trials, specs, strict=True)
        }

    def run(self) -> list[Outcome]:
        """Outcomes of all of them: `left` where another worker is at them."""
        with self.place.claims.hold(self.trajectory) as held:
            if isinstance(held, Owner):
                return [
                    Outcome(trial.name, key, "left", None, {}, str(held))
                    for key, trial in self.trials.items()
                ]
            newest = self.place.study.newest()
            done = [
                skipped(newest[key])
                for key in self.trials
                if not self.config.rerun and is_done(newest.get(key))
            ]
            rest = self.trials.keys() - {outcome.key for outcome in done}
            keys = [key for key in self.trials if key in rest]
            return [
                *done,
                *with_retries(
                    lambda keys, first: self._attempt(
                        keys, newest if first else self.place.study.newest(), held
                    ),
                    keys,
                    self.config.retries,
                ),
            ]

    def _attempt(
        self, keys: Sequence[str], newest: Mapping[str, FrozenTrial], lease: Lease
    ) -> list[Outcome]:
        study = self.place.study
        before = {key: newest[key] for key in keys if key in newest}
        kept = [] if self.config.rerun else self._kept(before)
        left = [key for key in keys if key not in {outcome.key for outcome in kept}]
        if not left:
            return kept
        ids = {key: self._begin(key, before.get(key)) for key in left}

        def ended(outcome: Outcome) -> None:
            study.end(ids[outcome.key], outcome, outcome.metrics.get("accuracy"))
            old = before.get(outcome.key)
            if old and is_done(old) and outcome.state == "finished" and outcome.run_id:
                self._supersede(old, outcome.run_id)

        watch = Watch(
            began=lambda key, run_id: study.set(ids[key], {"mlflow_run": run_id}),
            held=lease.held,
            ended=ended,
            known_runs={
                key: str(attempt.user_attrs["mlflow_run"])
                for key, attempt in before.items()
                if "mlflow_run" in attempt.user_attrs and not is_done(attempt)
            },
        )
        return kept + self.place.run(self.config, [self.trials[key] for key in left], watch)

    def _begin(self, key: str, before: FrozenTrial | None) -> int:
        attempt = self.attempts[key]
        space = space_of(attempt.values, self.place.study.ranges())
        return self.place.study.begin(attempt, space, before)

    def _kept(self, before: Mapping[str, FrozenTrial]) -> list[Outcome]:
        """Trials that MLflow has finished and whose worker died before it told the study."""
        kept = []
        for key, attempt in before.items():
            run_id = attempt.user_attrs.get("mlflow_run")
            if attempt.state is not TrialState.RUNNING or not run_id:
                continue
            run = self.place.tracker.run(run_id)
            if run is not None and run.state in ("finished", "pruned"):
                outcome = Outcome(self.trials[key].name, key, run.state, run_id, run.metrics)
                kept.append(self.keep(outcome, attempt))
        return kept

    def keep(self, outcome: Outcome, before: FrozenTrial | None = None) -> Outcome:
        """Tell the study of a trial that MLflow knows to be finished or pruned."""
        trial_id = self._begin(outcome.key, before)
        self.place.study.set(trial_id, {"mlflow_run": outcome.run_id})
        self.place.study.end(trial_id, outcome, outcome.metrics.get("accuracy"))
        console.print(f"  {outcome.name} was finished when its worker was stopped: kept")
        return replace(outcome, state="skipped")

    def _supersede(self, old: FrozenTrial, run_id: str) -> None:
        replaced = old.user_attrs.get("mlflow_run")
        if replaced and replaced != run_id:
            self.place.tracker.supersede(str(replaced), run_id)


def space_of(values: Values, ranges: Mapping[str, Sequence[float]]) -> dict[str, BaseDistribution]:
    """Distributions for Optuna's own analysis: numbers over `ranges`, groups over their files.

    Optuna lets the range of a number differ from trial to trial, but not the set of a categorical:
    text that is no group stays an attribute.
    """
    space: dict[str, BaseDistribution] = {}
    for name in values:
        if name in GROUPS:
            space[name] = CategoricalDistribution(choices(name))
        elif name in ranges:
            low, high = ranges[name]
            space[name] = FloatDistribution(low, high)
    return space
