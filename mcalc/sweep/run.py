"""Run a sweep: plan, skip what is finished, and for each trajectory claim, launch, tell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mcalc.config import DataConfig
from mcalc.errors import UserError
from mcalc.results import Outcome
from mcalc.sweep.files import override_value
from mcalc.sweep.plan import Compose, Plan, PlannedTrial, make_plans
from mcalc.sweep.study import DATABASE, Queue, SweepStudy, untouched

if TYPE_CHECKING:
    from mcalc.tracking import Tracker

Launch = Callable[[Sequence[str], int], list[Outcome]]
"""Overrides of a job and its number to the outcomes of its trials."""

# no markup: names and errors may hold brackets
console = Console(highlight=False, soft_wrap=True, markup=False)


def run_sweep(arguments: Sequence[str], compose: Compose, launch: Launch) -> list[Outcome]:
    """Run every sweep that the arguments name, or print the plan with `dry_run=true`.

    A failed trial is recorded and the sweep goes on; at the end UserError says how many failed.
    """
    fingerprints = _Fingerprints()
    plans = make_plans(arguments, compose, fingerprints)
    settings = compose([word for word in arguments if word.startswith(("dry_run=", "rerun="))])
    outcomes: list[Outcome] = []
    for plan in plans:
        directory = Path(plan.trials[0].config.tracking.dir)
        if settings.dry_run and not (directory / DATABASE).exists():
            _print_plan(plan, untouched(plan))
            continue
        study = SweepStudy(plan, directory)
        queue = study.queue(rerun=settings.rerun)
        _print_plan(plan, queue)
        if settings.dry_run:
            continue
        outcomes += _SweepRun(plan, study, queue, launch, rerun=settings.rerun).run()
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(outcomes)} trials failed (each is recorded with its error; the "
            f"same command tries them again); the first, {failed[0].name}: {failed[0].error}"
        )
    return outcomes


class _SweepRun:
    def __init__(
        self, plan: Plan, study: SweepStudy, queue: Queue, launch: Launch, *, rerun: bool
    ) -> None:
        self.plan = plan
        self.study = study
        self.queue = queue
        self.launch = launch
        self.rerun = rerun
        self.outcomes: list[Outcome] = [_skipped(plan, key, queue) for key in queue.finished]

    def run(self) -> list[Outcome]:
        # late, as a plan alone needs no MLflow
        from mcalc.tracking import Tracker

        began = time.monotonic()
        tracking = self.plan.trials[0].config.tracking
        tracker = Tracker(Path(tracking.dir), tracking.experiment)
        parent = tracker.open_sweep(
            self.plan.sweep, self.plan.title, {"mcalc.description": self.plan.description}
        )
        complete = False
        try:
            waiting = {trial.key for trial in self.queue.waiting}
            waiting -= self._adopt(tracker, parent)
            runs = [
                tuple(trial for trial in run if trial.key in waiting)
                for run in self.plan.trajectories()
            ]
            runs = [run for run in runs if run]
            for number, run in enumerate(runs):
                if number:
                    left = (time.monotonic() - began) / number * (len(runs) - number)
                    console.print(
                        f"{self.plan.title}: {number} of {len(runs)} training runs done, about "
                        f"{left / 60:.1f} min left"
                    )
                self.outcomes += self._trajectory(run, number, parent)
            complete = all(outcome.state != "failed" for outcome in self.outcomes)
        finally:
            tracker.close_sweep(parent, self._summary(), complete=complete)
        _print_outcomes(self.plan, self.outcomes)
        return self.outcomes

    def _adopt(self, tracker: Tracker, parent: str) -> set[str]:
        """Take over trials that MLflow has finished and the study has not heard of.

        A process that was killed between the two left them so; running them again would repeat
        them. Returns their keys.
        """
        adopted: set[str] = set()
        for trial in [] if self.rerun else self.queue.waiting:
            known = tracker.finished(trial.key, parent)
            if known is None:
                continue
            (claimed,) = self.study.claim([trial]).values()
            accuracy, auc = known.metrics["accuracy"], known.metrics.get("auc", math.nan)
            self.study.finish(claimed, accuracy, auc, known.run_id)
            self.outcomes.append(replace(known, name=trial.name, state="skipped"))
            console.print(f"  {trial.name} was finished when its process was stopped: kept")
            adopted.add(trial.key)
        return adopted

    def _trajectory(
        self, trials: Sequence[PlannedTrial], number: int, parent: str
    ) -> list[Outcome]:
        claimed = self.study.claim(trials)
        told: set[str] = set()
        error = "interrupted"
        try:
            outcomes = self.launch(job_overrides(trials, self.plan.sweep, parent), number)
            for outcome in outcomes:
                trial = claimed[outcome.key]
                if outcome.state == "finished":
                    accuracy, auc = outcome.metrics["accuracy"], outcome.metrics["auc"]
                    self.study.finish(trial, accuracy, auc, outcome.run_id)
                else:
                    self.study.fail(trial, outcome.error or "failed")
                    console.print(f"  {outcome.name} failed: {outcome.error}", style="red")
                told.add(outcome.key)
            error = "the job gave no result for this trial"
            return outcomes
        except UserError as reason:
            error = str(reason)
            raise
        finally:
            for key in claimed.keys() - told:
                self.study.fail(claimed[key], error)

    def _summary(self) -> dict[str, float]:
        done = [outcome for outcome in self.outcomes if outcome.metrics]
        counts = {
            "trials": float(len(self.plan.trials)),
            "trials_finished": float(len(done)),
            "trials_failed": float(sum(outcome.state == "failed" for outcome in self.outcomes)),
            "trajectories": float(len(self.plan.trajectories())),
        }
        if done:
            accuracies = [outcome.metrics["accuracy"] for outcome in done]
            counts["best_accuracy"] = max(accuracies)
            counts["mean_accuracy"] = sum(accuracies) / len(accuracies)
        return counts


class _Fingerprints:
    """Fingerprint of the data a config names, read once a data section."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, data: DataConfig) -> str:
        from mcalc.data.ready import open_data

        if repr(data) not in self._known:
            self._known[repr(data)] = open_data(data).fingerprint
        return self._known[repr(data)]


def job_overrides(trials: Sequence[PlannedTrial], sweep: str, parent: str) -> list[str]:
    """What the launcher gives the job of one trajectory: its settings and the trials on it."""
    longest = max(trials, key=lambda t: (t.config.stopping.patience is None, _patience(t)))
    specs = ",".join(
        f"{{name:{override_value(t.name)},patience:{override_value(t.config.stopping.patience)}}}"
        for t in trials
    )
    return [
        *longest.overrides,
        f"job.trials=[{specs}]",
        f"job.sweep={override_value(sweep)}",
        f"job.parent={override_value(parent)}",
    ]


def _patience(trial: PlannedTrial) -> int:
    return trial.config.stopping.patience or 0


def _skipped(plan: Plan, key: str, queue: Queue) -> Outcome:
    known = queue.finished[key]
    name = next(trial.name for trial in plan.trials if trial.key == key)
    metrics = {"accuracy": float(known.value or 0), "auc": float(known.user_attrs.get("auc", 0))}
    return Outcome(name, key, "skipped", known.user_attrs.get("mlflow_run"), metrics)


def _print_plan(plan: Plan, queue: Queue) -> None:
    runs = plan.trajectories()
    console.print(
        f"{plan.title} ({plan.sweep}): {len(plan.trials)} trials in {len(runs)} "
        f"training runs; {len(queue.finished)} finished, {len(queue.waiting)} to run"
    )
    for key, owner in queue.taken.items():
        name = next(trial.name for trial in plan.trials if trial.key == key)
        console.print(f"  {name} is being run by {owner}: left to it", style="yellow")
    waiting = {trial.key for trial in queue.waiting}
    for number, run in enumerate(runs, start=1):
        names = " | ".join(
            f"{trial.name}{'' if trial.key in waiting else ' (finished)'}" for trial in run
        )
        shared = " share one run" if len(run) > 1 else ""
        console.print(f"  run {number}: {names}{shared}")


def _print_outcomes(plan: Plan, outcomes: Sequence[Outcome]) -> None:
    table = Table("trial", "state", "accuracy", "AUC", title=plan.title, title_justify="left")
    order = {trial.key: place for place, trial in enumerate(plan.trials)}
    for outcome in sorted(outcomes, key=lambda o: order[o.key]):
        scores: list[Any] = [outcome.metrics.get(name) for name in ("accuracy", "auc")]
        cells = ["—" if score is None else f"{score:.4f}" for score in scores]
        table.add_row(outcome.name, outcome.state, *cells)
    console.print(table)
