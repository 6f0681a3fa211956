"""A sweep engine whose trials train nothing: for what the engine itself promises."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcalc.config.compose import compose_config
from mcalc.config.identity import is_numeric
from mcalc.config.paths import flatten
from mcalc.config.schema import Config
from mcalc.console import console
from mcalc.data.pipeline import IndexedData
from mcalc.results import CurvePoint, Outcome
from mcalc.sweep.engine import run_sweep
from mcalc.tracking.tracker import Tracker
from mcalc.training.validation import Trial
from mcalc.trials.runner import Watch

# imported once by a server process, from which the others are forked
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["engine"])


@dataclass
class Instant:
    """Stands in for training: a record with figures that follow from the trial's key, at once."""

    log: Path
    """Gets the name of each trial that is begun."""
    kill_at: str | None = None
    """`began`, `recorded` or `told`: where the process dies of SIGKILL ..."""
    kill_name: str | None = None
    """... when it is at the trial of this name."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """By name, how often a trial fails before it does not."""
    seconds: float = 0.0
    """How long each takes."""
    evaluations: int = 0
    """How many are reported to the pruner; their AUC falls a little from one to the next."""

    def __call__(
        self,
        config: Config,
        _: IndexedData,
        trials: Sequence[Trial],
        tracker: Tracker,
        watch: Watch,
    ) -> list[Outcome]:
        return [self._one(config, trial, tracker, watch) for trial in trials]

    def _one(self, config: Config, trial: Trial, tracker: Tracker, watch: Watch) -> Outcome:
        with self.log.open("a") as log:
            log.write(f"{trial.name}\n")
        params = {name: value for name, value in flatten(config).items() if is_numeric(name)}
        known = watch.known_runs.get(trial.key)
        record = tracker.open_trial(trial.name, trial.key, params, {}, config.job.parent, known)
        watch.began(trial.key, record.run_id)
        self._die(trial, "began")
        time.sleep(self.seconds)
        accuracy = score(trial.key)
        for evaluation in range(1, self.evaluations + 1):
            point = CurvePoint(
                evaluation, 0, 0.5, 0.5, 1 - accuracy, accuracy, accuracy - 0.001 * evaluation
            )
            record.point(point)
            if watch.report(trial.key, evaluation, point):
                record.prune({"iterations": float(evaluation), "seconds": 1.0}, {})
                return self._tell(watch, Outcome(
                    trial.name, trial.key, "pruned", record.run_id,
                    {"iterations": float(evaluation), "seconds": 1.0},
                ))  # fmt: skip
        if self._begun(trial.name) <= self.failures.get(trial.name, 0):
            record.fail("it was told to fail", "Traceback ...")
            return self._tell(watch, Outcome(
                trial.name, trial.key, "failed", record.run_id, {}, "it was told to fail"
            ))  # fmt: skip
        metrics = {
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.05,
            "accuracy_high": accuracy + 0.05,
            "auc": accuracy,
            "iterations": 10.0 * (trial.patience or 10),
            "seconds": 36.0,
            "reported_val_auc": accuracy,
            "reported_val_accuracy": accuracy,
            "reported_val_loss": 1 - accuracy,
        }
        record.finish(metrics, {})
        self._die(trial, "recorded")
        outcome = Outcome(trial.name, trial.key, "finished", record.run_id, metrics)
        self._tell(watch, outcome)
        self._die(trial, "told")
        return outcome

    def _tell(self, watch: Watch, outcome: Outcome) -> Outcome:
        watch.ended(outcome)
        return outcome

    def _begun(self, name: str) -> int:
        return self.log.read_text().splitlines().count(name)

    def _die(self, trial: Trial, place: str) -> None:
        if place == self.kill_at and trial.name == self.kill_name:
            os.kill(os.getpid(), signal.SIGKILL)


def score(key: str) -> float:
    """An accuracy that follows from the key: 0.5 to 0.75."""
    return 0.5 + int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) / 2**18


def settings(folder: Path) -> list[str]:
    """Overrides that keep a sweep inside a folder."""
    return [
        f"tracking.dir={folder / 'mlruns'}",
        f"data.cache={folder / 'cache'}",
        "data.phantom.lesions=8",
        "backbone=squeezenet",
        "backbone.weights=none",
    ]


def sweep(folder: Path, *arguments: str, instant: Instant | None = None) -> list[Outcome]:
    """Run a sweep in this process with trials that train nothing."""
    execute = instant or Instant(folder / "log")
    return run_sweep([*settings(folder), *arguments], compose_config, execute=execute)


def _quietly(folder: Path, arguments: Sequence[str], instant: Instant) -> None:
    console.quiet = True
    sweep(folder, *arguments, instant=instant)


def start(folder: Path, *arguments: str, instant: Instant) -> multiprocessing.Process:
    """The same in a process of its own."""
    process = _CONTEXT.Process(target=_quietly, args=(folder, arguments, instant))
    process.start()
    return process  # type: ignore[return-value]
