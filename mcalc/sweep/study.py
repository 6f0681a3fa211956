"""The Optuna study of a sweep: which trials wait, run, are done or failed."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from mcalc.compose import GROUPS, choices
from mcalc.sweep.plan import Plan, PlannedTrial

optuna.logging.set_verbosity(optuna.logging.WARNING)


DATABASE = "optuna.db"


def storage_uri(directory: Path) -> str:
    """Optuna's own SQLite file: it and MLflow cannot share one."""
    return f"sqlite:///{directory.resolve() / DATABASE}"


@dataclass(frozen=True)
class Queue:
    """What a plan needs, after a look at what the study holds."""

    finished: dict[str, FrozenTrial]
    """By key, trials that need not run again."""
    taken: dict[str, str]
    """By key, trials that a living process runs, and which."""
    waiting: list[PlannedTrial]
    """Trials to run, in the plan's order."""


def untouched(plan: Plan) -> Queue:
    """The queue of a plan of which nothing is recorded."""
    return Queue({}, {}, list(plan.trials))


class SweepStudy:
    """One study a sweep; a trial is known by its key.

    Value: accuracy on the reported set; AUC is a user attribute. A killed process leaves trials
    RUNNING; the next one finds that their owner is gone and queues them again.
    """

    def __init__(self, plan: Plan, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.plan = plan
        self.study = optuna.create_study(
            storage=storage_uri(directory),
            study_name=plan.sweep,
            direction="maximize",
            load_if_exists=True,
        )

    def queue(self, *, rerun: bool = False) -> Queue:
        """Sort the plan's trials by what the study says of them; changes nothing."""
        newest: dict[str, FrozenTrial] = {}
        for known in self.study.get_trials(deepcopy=False):
            newest[known.user_attrs.get("key", "")] = known
        finished: dict[str, FrozenTrial] = {}
        taken: dict[str, str] = {}
        waiting = []
        for trial in self.plan.trials:
            latest = newest.get(trial.key)
            if latest and latest.state is TrialState.COMPLETE and not rerun:
                finished[trial.key] = latest
            elif latest and latest.state is TrialState.RUNNING and _alive(latest):
                taken[trial.key] = _owner(latest)
            else:
                waiting.append(trial)
        return Queue(finished, taken, waiting)

    def claim(self, trials: Sequence[PlannedTrial]) -> dict[str, Trial]:
        """Queue the trials and take them, by key.

        Trials that a dead process left RUNNING or WAITING under these keys are closed first, so
        that each key has one open trial.
        """
        keys = {trial.key for trial in trials}
        for known in self.study.get_trials(
            deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)
        ):
            orphan = known.state is TrialState.WAITING or not _alive(known)
            if orphan and known.user_attrs.get("key") in keys:
                self.study.tell(known.number, state=TrialState.FAIL)
        spaces = search_space(self.plan)
        for trial in trials:
            self.study.enqueue_trial(
                {name: _value(trial.values[name]) for name in spaces if name in trial.values},
                user_attrs={
                    "values": trial.values,
                    "key": trial.key,
                    "name": trial.name,
                    "trajectory": trial.trajectory,
                    "host": socket.gethostname(),
                    "process": os.getpid(),
                    "process_started": psutil.Process().create_time(),
                },
            )
        claimed: dict[str, Trial] = {}
        while len(claimed) < len(keys):
            asked = self.study.ask()
            key = str(asked.user_attrs.get("key"))
            if key in keys:
                claimed[key] = asked
                for name in spaces.keys() & _by_key(trials, key).values.keys():
                    _suggest(asked, name, spaces[name])
            else:
                # left waiting by a process that died between queueing and taking
                self.study.tell(asked, state=TrialState.FAIL)
        return claimed

    def finish(self, trial: Trial, accuracy: float, auc: float, run_id: str | None) -> None:
        """Tell the study a trial's result."""
        trial.set_user_attr("auc", auc)
        trial.set_user_attr("mlflow_run", run_id)
        self.study.tell(trial, accuracy)

    def fail(self, trial: Trial, error: str) -> None:
        """Tell the study that a trial failed, and of what."""
        trial.set_user_attr("error", error)
        self.study.tell(trial, state=TrialState.FAIL)


def search_space(plan: Plan) -> dict[str, BaseDistribution]:
    """Distributions that Optuna's own analysis can use, by key, for what varies in the plan.

    Numbers range over the plan's values; a config group over all of its files. Optuna allows the
    range of a number to grow with later rows, but not the set of a categorical: text that is no
    group stays a user attribute.
    """
    seen: dict[str, list[str]] = {}
    for trial in plan.trials:
        for name, text in trial.values.items():
            seen.setdefault(name, []).append(text)
    space: dict[str, BaseDistribution] = {}
    for name, texts in seen.items():
        values = [_value(text) for text in texts]
        if name in GROUPS:
            space[name] = CategoricalDistribution(choices(name))
        elif all(isinstance(value, float) for value in values):
            numbers = [float(value) for value in values]
            space[name] = FloatDistribution(min(numbers), max(numbers))
    return space


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"")


def _suggest(trial: Trial, name: str, space: BaseDistribution) -> None:
    if isinstance(space, FloatDistribution):
        trial.suggest_float(name, space.low, space.high)
    elif isinstance(space, CategoricalDistribution):
        trial.suggest_categorical(name, space.choices)


def _by_key(trials: Sequence[PlannedTrial], key: str) -> PlannedTrial:
    return next(trial for trial in trials if trial.key == key)


def _owner(trial: FrozenTrial) -> str:
    return f"process {trial.user_attrs.get('process')} on {trial.user_attrs.get('host')}"


def _alive(trial: FrozenTrial) -> bool:
    """Whether the process that took a RUNNING trial still lives; one on another host may."""
    if trial.user_attrs.get("host") != socket.gethostname():
        return True
    try:
        owner = psutil.Process(int(trial.user_attrs["process"]))
        # the number may have gone to another process since
        same: bool = abs(owner.create_time() - float(trial.user_attrs["process_started"])) < 1
        return same and owner.pid != os.getpid()
    except (psutil.NoSuchProcess, KeyError):
        return False
