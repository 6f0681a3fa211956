"""Run a sweep: plan, skip what is finished, give the rest to workers, sum up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from mcalc.config.schema import BudgetConfig, Config, DataConfig, JobConfig, TrialSpec
from mcalc.config.trial import PlannedTrial
from mcalc.console import Display, console
from mcalc.errors import UserError
from mcalc.results import Outcome
from mcalc.sweep.display.printing import dry_run, print_outcomes, print_plan
from mcalc.sweep.planning.plan import Compose, Plan, make_plans
from mcalc.sweep.planning.sweep_file import override_of, override_value
from mcalc.sweep.store.storage import Storage, exists, storage_url
from mcalc.sweep.store.study import DONE, SweepStudy

if TYPE_CHECKING:
    from mcalc.data.pipeline import IndexedData
    from mcalc.sweep.worker.context import Execute

_POLL_SECONDS = 1.0
_PARENT_CLAIM = "parent run"


@dataclass(frozen=True)
class Launcher:
    """Other processes to run jobs in."""

    launch: Callable[[Sequence[Sequence[str]]], list[list[Outcome]]]
    """The overrides of each job to the outcomes of each; returns when all have ended."""
    at_once: Callable[[int], int]
    """How many of so many jobs share this machine at once; 1 where each has a place of its own."""


def run_sweep(
    arguments: Sequence[str],
    compose: Compose,
    launcher: Launcher | None = None,
    execute: Execute | None = None,
) -> list[Outcome]:
    """Run every sweep that the arguments name, or print the plan with `dry_run=true`.

    Without a launcher, jobs run in this process. A failed trial is recorded and the sweep goes on;
    at the end UserError says how many failed. `execute` stands in for training (benchmarks).
    """
    opened = _Opened()
    plans = make_plans(arguments, compose, opened.fingerprint)
    planning = compose([word for word in arguments if word.startswith("dry_run=")]).dry_run
    outcomes: list[Outcome] = []
    from mcalc.trials.disk_full import raise_disk_full  # late: plans need no torch

    for plan in plans:
        storage = None
        if exists(plan.base) or not planning:
            with raise_disk_full(plan.base):
                storage = Storage(storage_url(plan.base), plan.base.storage_wait, console)
        if planning:
            study = SweepStudy.find(storage, plan.sweep) if storage else None
            dry_run(plan, study, opened.data)
            continue
        assert storage is not None
        with raise_disk_full(plan.base):
            run = _SweepRun(plan, storage, launcher, opened, execute)
            outcomes += run.run()
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(outcomes)} trials failed (each is recorded with its error; the "
            f"same command tries them again); the first, {failed[0].name}: {failed[0].error}"
        )
    return outcomes


class _Opened:
    """The data that configs name, read once a data section."""

    def __init__(self) -> None:
        self._known: dict[str, IndexedData] = {}
        self._last: tuple[DataConfig, str] | None = None

    def fingerprint(self, data: DataConfig) -> str:
        # most trials of a plan have the very same section
        if self._last is None or self._last[0] is not data:
            self._last = data, self.data(data).fingerprint
        return self._last[1]

    def data(self, data: DataConfig) -> IndexedData:
        from mcalc.data.pipeline import index_data

        if repr(data) not in self._known:
            self._known[repr(data)] = index_data(data)
        return self._known[repr(data)]

    def of(self, config: Config) -> IndexedData:
        return self.data(config.data)


class _SweepRun:
    """One sweep, by one of the processes that may work at it at once."""

    def __init__(
        self,
        plan: Plan,
        storage: Storage,
        launcher: Launcher | None,
        opened: _Opened,
        execute: Execute | None,
    ) -> None:
        # late, as a plan alone needs no MLflow and no Lightning
        from mcalc.sweep.display.status_line import SweepView
        from mcalc.sweep.worker.context import Workplace
        from mcalc.trials.runner import open_tracker, run_trials

        self.plan = plan
        self.launcher = launcher
        self.study = SweepStudy.create(plan, storage)
        self.display = Display(console)
        tracker = open_tracker(plan.base)
        self.place = Workplace(
            plan.base,
            plan.sweep,
            storage=storage,
            study=self.study,
            tracker=tracker,
            execute=execute or run_trials,
            display=self.display,
            opened=opened.of,
        )
        self.parent = self._open_parent()
        self.job = JobConfig(sweep=plan.sweep, parent=self.parent)
        total = plan.search.trials if plan.search else len(plan.trials)
        self.view = SweepView(plan.title, self.study, total, self.display)
        self.outcomes: dict[str, Outcome] = {}

    def run(self) -> list[Outcome]:
        complete = False
        try:
            self._put_right()
            print_plan(self.plan, self.study)
            with self.display.shown():
                if self.plan.search:
                    self._search()
                else:
                    self._rows()
            complete = all(outcome.state != "failed" for outcome in self.outcomes.values())
        finally:
            self._close(complete)
        outcomes = list(self.outcomes.values())
        print_outcomes(self.plan, outcomes)
        return outcomes

    # --- the sweep's own record -------------------------------------------------------------

    def _open_parent(self) -> str:
        """The sweep's run in MLflow, one for all workers."""
        from mcalc.sweep.store.leases import Lease

        while True:
            with self.place.claims.hold(_PARENT_CLAIM) as held:
                if isinstance(held, Lease):
                    tags = {"mcalc.description": self.plan.description}
                    known = self.study.parent()
                    if known and self.place.tracker.run(known) is None:
                        known = None  # MLflow's store was deleted
                    found = self.place.tracker.open_sweep(
                        self.plan.sweep, self.plan.title, tags, known
                    )
                    self.study.parent(found)
                    return found
            time.sleep(0.1)

    def _close(self, complete: bool) -> None:
        """Sum up; a store that cannot be written now gets its sums from the next worker."""
        from mcalc.sweep.display.summary import summarise

        with suppress(UserError):
            summary = summarise(self.study)
            self.place.tracker.close_sweep(
                self.parent,
                summary.metrics,
                {"summary.json": summary.as_json()},
                complete=complete,
            )

    def _put_right(self) -> None:
        """Settle what workers that died between the two stores left differing."""
        from mcalc.sweep.worker.explicit import Rows

        if self.place.claims.owners():
            return  # what a living worker has under way looks the same
        runs = self.place.tracker.runs_of(self.parent)
        newest = self.study.newest()
        known = {run_id for a in self.study.attempts() for run_id in _runs_of(a)}
        for run in runs:
            if run.state == "running" and run.run_id not in known:
                self.place.tracker.abandon(run.run_id)
        if self.plan.search or self.plan.base.rerun:
            return
        finished = {run.key: run for run in runs if run.state in ("finished", "pruned")}
        for trials in self.plan.trajectories():
            lost = [
                trial
                for trial in trials
                if trial.key in finished
                and (trial.key not in newest or newest[trial.key].state not in DONE)
            ]
            if not lost:
                continue
            rows = Rows(self.place, lost)
            for trial in lost:
                run = finished[trial.key]
                outcome = Outcome(trial.name, trial.key, run.state, run.run_id, run.metrics)
                rows.keep(outcome, newest.get(trial.key))

    # --- explicit trials --------------------------------------------------------------------

    def _rows(self) -> None:
        from mcalc.sweep.worker.context import is_done, skipped

        newest = self.study.newest()
        for trial in self.plan.trials:
            if not self.plan.base.rerun and is_done(newest.get(trial.key)):
                self.outcomes[trial.key] = replace(skipped(newest[trial.key]), name=trial.name)
        self._work(self._open_runs())
        self._wait_for_others()

    def _open_runs(self) -> list[tuple[PlannedTrial, ...]]:
        """Training runs with their trials that are not settled for this process."""
        runs = [
            tuple(trial for trial in run if trial.key not in self.outcomes)
            for run in self.plan.trajectories()
        ]
        return [run for run in runs if run]

    def _work(self, runs: Sequence[Sequence[PlannedTrial]]) -> None:
        """Run the trials of training runs, here or by the launcher, but for those others are at."""
        from mcalc.sweep.worker.job import run_job

        if self.launcher and runs:
            at_once = self.launcher.at_once(len(runs))
            jobs = [job_overrides(self.plan, run, self.job, at_once) for run in runs]
            with self.view.watching():
                for outcomes in self.launcher.launch(jobs):
                    self._take(outcomes)
            self.view.update()
            return
        for run in runs:
            outcomes = run_job(self._config(run), self.place)
            self._take(outcomes)
            if any(outcome.state != "left" for outcome in outcomes):
                self.view.update()

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        planned = {trial.key for trial in self.plan.trials}
        for outcome in outcomes:
            if outcome.key not in planned:
                raise UserError(
                    f"{outcome.name} came back as another trial than was planned: did its code, "
                    "its data or a file of weights change while the sweep ran? Give the same "
                    "command again to plan anew"
                )
            if outcome.state != "left":
                self.outcomes[outcome.key] = outcome

    def _wait_for_others(self) -> None:
        """Until trials that other workers run are settled; what one leaves behind is taken over."""
        said: set[str] = set()
        while runs := self._open_runs():
            owners = self.place.claims.owners()
            # with a launcher, what is left behind is no work for this process (a login node)
            self._work([run for run in runs if run[0].trajectory not in owners])
            for run in runs:
                owner = owners.get(run[0].trajectory)
                if owner is not None and str(owner) not in said:
                    said.add(str(owner))
                    names = ", ".join(trial.name for trial in run)
                    console.print(f"  waiting for {names}: {owner} runs it", style="yellow")
            if self._open_runs():
                time.sleep(_POLL_SECONDS)

    def _config(self, run: Sequence[PlannedTrial]) -> Config:
        """The config of the longest trial, with what the job is to do."""
        return replace(_longest(run).config, job=replace(self.job, trials=specs_of(run)))

    # --- a search ---------------------------------------------------------------------------

    def _search(self) -> None:
        search = self.plan.search
        assert search is not None
        budget = BudgetConfig(search.trials, search.hours)
        fixed = json.dumps(list(self.plan.fixed))
        config = replace(
            self.plan.base, budget=budget, job=replace(self.job, fixed=fixed), name=None
        )
        while True:
            ended = self._search_elsewhere(config) if self.launcher else self._search_here(config)
            if ended and not self._others_search():
                return
            if ended:
                time.sleep(_POLL_SECONDS)

    def _search_here(self, config: Config) -> bool:
        """One configuration; True where the budget allows no further one."""
        from mcalc.sweep.worker.job import run_job

        outcomes = run_job(config, self.place)
        self._take_configurations(outcomes)
        self.view.update()
        return not outcomes

    def _search_elsewhere(self, config: Config) -> bool:
        assert self.launcher is not None
        assert self.plan.search is not None
        limit = self.plan.search.trials
        begun = [a for a in self.study.attempts() if a.state is not TrialState.RUNNING]
        wanted = self.launcher.at_once(64) if limit is None else limit - len(begun)
        if wanted <= 0:
            return True
        job = [
            *self.plan.fixed,
            *_budget_overrides(config.budget),
            *_job_settings(config.job, self.launcher.at_once(wanted)),
        ]
        with self.view.watching():
            outcomes = [o for each in self.launcher.launch([job] * wanted) for o in each]
        self._take_configurations(outcomes)
        self.view.update()
        return not outcomes

    def _take_configurations(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.state != "left":
                self.outcomes[outcome.name] = outcome

    def _others_search(self) -> bool:
        """Whether another worker still has a configuration that might be left to us."""
        return any(attempt.state is TrialState.RUNNING for attempt in self.study.attempts())


def specs_of(run: Sequence[PlannedTrial]) -> list[TrialSpec]:
    """The trials of a job."""
    return [
        TrialSpec(trial.name, trial.config.stopping.patience, json.dumps(trial.values))
        for trial in run
    ]


def job_overrides(
    plan: Plan, run: Sequence[PlannedTrial], job: JobConfig, beside: int
) -> list[str]:
    """What a launcher gives the job of one training run: its settings and the trials on it."""
    specs = ",".join(
        f"{{name:{override_value(spec.name)},patience:{override_value(spec.patience)},"
        f"values:{override_value(spec.values)}}}"
        for spec in specs_of(run)
    )
    own = [override_of(key, value) for key, value in _longest(run).values.items()]
    return [*plan.fixed, *own, *_job_settings(job, beside), f"job.trials=[{specs}]"]


def _job_settings(job: JobConfig, beside: int) -> list[str]:
    return [
        f"job.sweep={override_value(job.sweep)}",
        f"job.parent={override_value(job.parent)}",
        f"job.fixed={override_value(job.fixed)}",
        f"job.beside={beside}",
    ]


def _budget_overrides(budget: BudgetConfig) -> list[str]:
    return [
        f"budget.trials={override_value(budget.trials)}",
        f"budget.hours={override_value(budget.hours)}",
    ]


def _longest(run: Sequence[PlannedTrial]) -> PlannedTrial:
    """The trial of a training run that stops last, if all goes on."""
    return max(
        run,
        key=lambda t: (t.config.stopping.patience is None, t.config.stopping.patience or 0),
    )


def _runs_of(attempt: FrozenTrial) -> list[str]:
    facts = attempt.user_attrs
    return [
        *facts.get("runs", {}).values(),
        *([facts["mlflow_run"]] if "mlflow_run" in facts else []),
    ]
