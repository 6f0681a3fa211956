"""Run a planned sweep: skip what is finished, give the rest to workers, sum up."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mcalc.allocator import give_back_memory
from mcalc.config import BudgetConfig, PlannedTrial, flatten, joined
from mcalc.config.compose import GROUPS
from mcalc.console import Display, console
from mcalc.data import DataCache
from mcalc.errors import CutOffError, UserError
from mcalc.results import Outcome, RecordedTrial
from mcalc.sweep.display import (
    LiveNote,
    SweepView,
    mean_baselines,
    pointer_to_mlflow,
    print_plan,
    print_results,
    summarise,
)
from mcalc.sweep.opening import beside_recorded, open_storage
from mcalc.sweep.planning import Choices, Compose, Plan, override_of
from mcalc.sweep.start import Launcher
from mcalc.sweep.store import (
    DONE,
    Job,
    Jobs,
    Lease,
    SweepStudy,
    exists,
    rehearse,
    run_ids,
)
from mcalc.sweep.worker import (
    Execute,
    Rows,
    WorkerContext,
    call_as_planned,
    close_outdated,
    have_weights,
    is_done,
    let_count,
    overlapping,
    passing_on,
    refuse_another_machine,
    run_job,
    skipped,
    void_given_up,
    warn_of_network_files,
)
from mcalc.tracking import SweepBaselines, call_run
from mcalc.training import resolved
from mcalc.trials import finish, forget_checkpoint, raise_disk_full

_POLL_SECONDS = 1.0
_PARENT_LEASE = "parent run"
_MANY = 64
"""Jobs that a search without a limit of configurations would like to run at once."""
_RECORDED = ("finished", "pruned", "skipped")
_log = logging.getLogger(__name__)


def run_plan(
    plan: Plan,
    compose: Compose,
    data: DataCache,
    launcher: Launcher | None = None,
    execute: Execute | None = None,
) -> list[Outcome]:
    """Run the sweep of a plan, as one of the processes that may work at it at once."""
    if plan.search:
        rehearse(plan.title, plan.search)
    with raise_disk_full(plan.base):
        return _SweepRun(plan, compose, data, launcher, execute).run()


class _SweepRun:
    """One sweep in one process."""

    def __init__(
        self,
        plan: Plan,
        compose: Compose,
        data: DataCache,
        launcher: Launcher | None,
        execute: Execute | None,
    ) -> None:
        self.compose = compose
        self.launcher = launcher
        self.display = Display(console)
        # jobs of a launcher may run where a network is
        trains_here = launcher is None and execute is None
        if trains_here and not exists(plan.base):
            have_weights(plan, compose, None)
        storage = open_storage(plan)
        plan = self.plan = beside_recorded(plan, storage)
        if trains_here:
            have_weights(plan, compose, SweepStudy.find(storage, plan.sweep))
        self.study = SweepStudy.create(plan, storage)
        self.context = WorkerContext(
            plan.base,
            plan.sweep,
            storage=storage,
            study=self.study,
            execute=execute,
            display=self.display,
            data=data,
        )
        self.context.halts.check()
        warn_of_network_files(plan.base)
        refuse_another_machine(plan.base, self.context.leases)
        self.was_summed_up = False
        """Whether a command before this one ran all of it, as far as its trials were known."""
        self.parent = self._open_parent()
        total = plan.search.trials if plan.search else len(plan.trials)
        if not plan.search:
            self.study.follow((trial.key for trial in plan.trials), anew=plan.base.rerun)
        tracker = self.context.tracker
        self.note = LiveNote(plan, self.study, lambda text: tracker.describe(self.parent, text))
        self.view = SweepView(plan.title, self.study, total, self.display, self.note.update)
        self.outcomes: dict[str, Outcome] = {}

    def run(self) -> list[Outcome]:
        complete, taken_over = False, False
        try:
            self._reconcile()
            print_plan(self.plan, self.study)
            if self.plan.search and (others := self.study.of_other_numbers(self.plan)):
                _log.warning(
                    f"  warning: {others} configurations of {self.plan.title} were recorded with "
                    "other data or other numerics of the code, and the search compares with them: "
                    "give it a name of its own with name=NAME"
                )
            with self.display.shown():
                if self.plan.search:
                    self._search()
                else:
                    self._rows()
            with suppress(UserError):  # as for the summary: the next worker does it
                self._abandon_orphans()
            complete = all(outcome.state != "failed" for outcome in self.outcomes.values())
        except CutOffError:
            taken_over = True
            raise
        finally:
            # the sweep's summary is the other worker's too
            if not taken_over:
                self._close(complete)
        if self.launcher:
            self._say_warnings()
        print_results(self.plan, self.study)
        return list(self.outcomes.values())

    # --- the sweep's own record -------------------------------------------------------------

    def _open_parent(self) -> str:
        """The sweep's run in MLflow, one for all workers."""
        tracker = self.context.tracker
        while True:
            with self.context.leases.acquire(_PARENT_LEASE) as held:
                if isinstance(held, Lease):
                    tags = {"mcalc.description": self.plan.description}
                    known = self.study.parent()
                    before = tracker.run(known) if known else None
                    self.was_summed_up = before is not None and before.state == "finished"
                    if before is None:
                        known = None  # MLflow's store was deleted
                    elif known and tracker.is_deleted(known):
                        tracker.restore(known)
                    found = tracker.open_sweep(self.plan.sweep, self.plan.title, tags, known)
                    self.study.parent(found)
                    tracking, experiment = self.plan.base.tracking, tracker.experiment_id
                    note = pointer_to_mlflow(self.plan, tracking, experiment, found)
                    self.study.note(self.plan, note)
                    data = self.plan.base.data.source
                    tracker.data_set(found, data, self.plan.fingerprint)
                    return found
            time.sleep(0.1)

    def _say_warnings(self) -> None:
        """Print what workers in other processes have written to their logs alone, once each."""
        runs = self.context.tracker.runs_of(self.parent)
        for text in dict.fromkeys(text for run in runs for text in run.warnings):
            _log.warning(f"  warning: {text}")

    def _close(self, complete: bool) -> None:
        """Record the summary; if the store cannot be written now, the next worker does it."""
        with suppress(UserError):
            self.note.update(last=True)
            summary = summarise(self.study)
            outcomes, tracker = self.outcomes.values(), self.context.tracker
            figures = dict(summary.metrics)
            if not self.was_summed_up or any(o.state == "finished" for o in outcomes):
                recorded = SweepBaselines(tracker, self.parent)
                figures |= mean_baselines(self.study, outcomes, recorded.of)
            tracker.close_sweep(
                self.parent, figures, {"summary.json": summary.as_json()}, complete=complete
            )

    def _reconcile(self) -> None:
        """Reconcile Optuna and MLflow after a crash between writing the two."""
        runs = self._abandon_orphans()
        if self.plan.search:
            void_given_up(self.study)
            return
        if call_as_planned(self.context, self.plan.trials) and runs:
            runs = self.context.tracker.runs_of(self.parent)
        close_outdated(self.context, self.plan.trials)
        if not self.plan.base.rerun:
            self._take_over(runs)
        # of what was taken over too
        keys = {trial.name: trial.key for trial in self.plan.trials}
        let_count(self.study, self.context.tracker, keys, runs)

    def _take_over(self, runs: Sequence[RecordedTrial]) -> None:
        """Keep planned trials that are finished in MLflow, and of which Optuna does not know it."""
        newest = self.study.newest()
        finished = {
            run.key: run
            for run in runs
            if run.state in ("finished", "pruned") and not run.superseded
        }
        for trials in self.plan.trajectories():
            lost = [
                trial
                for trial in trials
                if trial.key in finished
                and (trial.key not in newest or newest[trial.key].state not in DONE)
            ]
            if not lost:
                continue
            rows = Rows(self.context, self._job(lost))
            for trial in lost:
                run = finished[trial.key]
                if run.name != trial.name:
                    call_run(self.context.tracker, run.run_id, trial.name)
                outcome = Outcome(
                    trial.name, trial.key, run.state, run.run_id, run.metrics, manifest=run.manifest
                )
                rows.keep(outcome, newest.get(trial.key))

    def _abandon_orphans(self) -> list[RecordedTrial]:
        """Close runs that a worker opened and died before it could name them in the study.

        Returns the runs of the sweep; none while another worker lives, whose runs look the same.
        """
        runs = self.context.tracker.runs_of(self.parent)
        # asked after the runs: who opens one holds a lease until it is closed
        if self.context.leases.owners():
            return []
        known = {run_id for a in self.study.attempts() for run_id in run_ids(a)}
        for run in runs:
            if run.state == "running" and known.isdisjoint(run.ids):
                self.context.tracker.abandon(run.run_id)
        return runs

    # --- jobs -------------------------------------------------------------------------------

    def _job(self, trials: Sequence[PlannedTrial], beside: int = 1) -> Job:
        return Job(self.plan.sweep, self.parent, tuple(trials), beside=beside)

    def _launch(self, jobs: Sequence[Job]) -> list[list[Outcome]]:
        """Give jobs to the launcher by their tokens; the outcomes of each."""
        assert self.launcher is not None
        stored = Jobs(self.context.storage)
        tokens = stored.add(jobs)
        try:
            with self.view.watching(), passing_on(self.context.leases):
                return self.launcher.launch(tokens, self.plan.base)
        except (KeyboardInterrupt, SystemExit):
            tokens = []  # jobs that a scheduler has queued outlive this process
            raise
        finally:
            with suppress(UserError):
                stored.remove(tokens)
            self.view.update()

    # --- explicit trials --------------------------------------------------------------------

    def _rows(self) -> None:
        newest = self.study.newest()
        for trial in self.plan.trials:
            if not self.plan.base.rerun and is_done(newest.get(trial.key)):
                self.outcomes[trial.key] = replace(skipped(newest[trial.key]), name=trial.name)
        self._work(self._open_runs())
        self._wait_for_others()
        for run in self.plan.trajectories():
            if all(self.outcomes[trial.key].state in _RECORDED for trial in run):
                forget_checkpoint(run[0])

    def _open_runs(self) -> list[tuple[PlannedTrial, ...]]:
        """Training runs with their trials that have no outcome in this process yet."""
        runs = [
            tuple(trial for trial in run if trial.key not in self.outcomes)
            for run in self.plan.trajectories()
        ]
        return [run for run in runs if run]

    def _work(self, runs: Sequence[Sequence[PlannedTrial]]) -> None:
        """Run training runs, here or by the launcher, except for those of other workers."""
        if self.launcher and runs:
            beside = self.launcher.at_once(len(runs), self.plan.base)
            for outcomes in self._launch([self._job(run, beside) for run in runs]):
                self._take(outcomes)
            return
        with overlapping(self._show) as overlap:
            for run in runs:
                overlap.run(run_job(self._job(run), self.context, [overlap]))

    def _show(self, outcomes: Sequence[Outcome]) -> None:
        self._take(outcomes)
        if any(outcome.state != "left" for outcome in outcomes):
            self.view.update()

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes |= {each.key: each for each in outcomes if each.state != "left"}

    def _wait_for_others(self) -> None:
        """Wait for the trials of other workers; take over what a dead one leaves behind."""
        said: set[str] = set()
        while runs := self._open_runs():
            self.context.halts.check()
            owners = self.context.leases.owners()
            # with a launcher, this process runs no trial itself (it may be on a login node)
            self._work([run for run in runs if run[0].trajectory not in owners])
            for run in runs:
                owner = owners.get(run[0].trajectory)
                if owner is not None and str(owner) not in said:
                    said.add(str(owner))
                    names = joined([trial.name for trial in run])
                    _log.warning("  waiting for %s: %s runs it", names, owner)
            if self._open_runs():
                _idle()

    # --- a search ---------------------------------------------------------------------------

    def _search(self) -> None:
        search = self.plan.search
        assert search is not None
        budget = BudgetConfig(search.trials, search.hours)
        base = replace(self.plan.base, budget=budget, name=None)
        job = Job(self.plan.sweep, self.parent, base=base, sections=self._sections())
        while True:
            self.context.halts.check()
            outcomes = self._round(job) if self.launcher else finish(run_job(job, self.context))
            self.outcomes |= {each.name: each for each in outcomes if each.state != "left"}
            self.view.update()
            if not outcomes:
                if not self._others_search():
                    return
                _idle()

    def _round(self, job: Job) -> list[Outcome]:
        """One round of the launcher; no outcomes where the budget is used up."""
        assert self.launcher is not None
        assert self.plan.search is not None
        limit = self.plan.search.trials
        ended = self.study.count() - len(self.study.running())
        wanted = self.launcher.at_once(_MANY, self.plan.base) if limit is None else limit - ended
        if wanted <= 0:
            return []
        jobs = [replace(job, beside=self.launcher.at_once(wanted, self.plan.base))] * wanted
        return [outcome for each in self._launch(jobs) for outcome in each]

    def _sections(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """The settings of every choice of the groups that the search draws from."""
        assert self.plan.search is not None
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for group, space in self.plan.search.space.items():
            if group in GROUPS and isinstance(space, Choices):
                found[group] = {}
                for choice in space.values:
                    config = self.compose((*self.plan.fixed, override_of(group, choice)))
                    found[group][str(choice)] = flatten(getattr(resolved(config), group))
        return found

    def _others_search(self) -> bool:
        """Whether another worker has a configuration that this one may have to take over."""
        return bool(self.study.running())


def _idle() -> None:
    """Wait a little for other workers, who may need the memory of what was trained here."""
    give_back_memory()
    time.sleep(_POLL_SECONDS)
