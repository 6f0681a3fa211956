"""A sweep engine whose trials train nothing: for what the engine itself promises."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from processes import fork, wait_for
from small_record import CURVE, PREDICTIONS
from stores import begin_with_tables

from mcalc.config.compose import compose_config
from mcalc.config.identity import is_numeric
from mcalc.config.paths import flatten
from mcalc.config.schema import Config
from mcalc.config.trial import PlannedTrial
from mcalc.console import console
from mcalc.data.pipeline import IndexedData
from mcalc.results import CurvePoint, Outcome
from mcalc.sweep.start import run_sweep
from mcalc.tracking.tracker import Tracker
from mcalc.training.device import Placement
from mcalc.training.listener import Listener
from mcalc.trials.recorder import SweepRecord
from mcalc.trials.turns import Work


@dataclass
class Instant:
    """Stands in for training: a record with figures that follow from the trial's key, at once."""

    log: Path
    """Gets the name of each trial that is begun."""
    kill_at: str | None = None
    """`opened`, `began`, `recorded` or `told`: where the process dies of SIGKILL ..."""
    kill_name: str | None = None
    """... when it is at the trial of this name; None: at its first."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """By name, how often a trial fails before it does not."""
    seconds: float = 0.0
    """How long each takes."""
    gate: Path | None = None
    """A file that is waited for, so that a trial is at work however slow the test is ..."""
    gate_name: str | None = None
    """... by the trial of this name; None: by each ..."""
    gate_at: str = "began"
    """... when it is there, of the places at which it may die."""
    single_class: bool = False
    """Whether the subset that stops training has one class, which has no AUC."""
    evaluations: int = 0
    """How many are reported to the pruner; their AUC falls a little from one to the next."""

    longer: Mapping[str, int] = field(default_factory=dict)
    """By name, how many where it is another number."""
    files: bool = False
    """Whether a finished trial has its predictions and curve, as the report reads them."""
    baselines: bool = False
    """Whether a finished trial has a score of one that looks at no image: that of the trial."""

    def __call__(
        self,
        trials: Sequence[PlannedTrial],
        _: IndexedData,
        tracker: Tracker,
        listeners: Sequence[Listener],
        within: SweepRecord,
        placement: Placement,
    ) -> Work:
        yield from ()
        return [self._one(trial, tracker, listeners, within) for trial in trials]

    def _one(
        self,
        trial: PlannedTrial,
        tracker: Tracker,
        listeners: Sequence[Listener],
        within: SweepRecord,
    ) -> Outcome:
        with self.log.open("a") as log:
            log.write(f"{trial.name}\n")
        params = {name: value for name, value in flatten(trial.config).items() if is_numeric(name)}
        known = within.known_runs.get(trial.key)
        writer = tracker.open_trial(trial.name, trial.key, params, {}, within.parent, known)
        self._at(trial, "opened")
        for listener in listeners:
            listener.opened(trial, writer.run_id)
        self._at(trial, "began")
        time.sleep(self.seconds)
        accuracy = score(trial.key)

        def end(
            state: str, metrics: dict[str, float], error: str | None = None, sealed: str = ""
        ) -> Outcome:
            self._at(trial, "recorded")
            outcome = Outcome(
                trial.name, trial.key, state, writer.run_id, metrics, error, manifest=sealed
            )
            for listener in listeners:
                listener.recorded(outcome)
            self._at(trial, "told")
            return outcome

        for evaluation in range(1, self.longer.get(trial.name, self.evaluations) + 1):
            point = CurvePoint(
                evaluation, 0, 0.5, 0.5, 1 - accuracy, accuracy, accuracy - 0.001 * evaluation
            )
            writer.point(point)
            if any(listener.prunes(trial, evaluation, point) for listener in listeners):
                metrics = {"iterations": float(evaluation), "seconds": 1.0}
                return end("pruned", metrics, sealed=writer.prune(metrics, {}))
        if self._begun(trial.name) <= self.failures.get(trial.name, 0):
            writer.fail("it was told to fail", "Traceback ...")
            return end("failed", {}, "it was told to fail")
        metrics = {
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.05,
            "accuracy_high": accuracy + 0.05,
            "auc": accuracy,
            "iterations": 10.0 * (trial.patience or 10),
            "seconds": 36.0,
            "reported_val_auc": math.nan if self.single_class else accuracy,
            "reported_val_accuracy": accuracy,
            "reported_val_loss": 1 - accuracy,
        }
        if self.baselines:
            metrics["size_auc"] = accuracy
        if self.files:
            for point in CURVE:
                writer.point(point)
            writer.table(PREDICTIONS)
            writer.curve(CURVE)
        return end("finished", metrics, sealed=writer.finish(metrics, {}))

    def _begun(self, name: str) -> int:
        return self.log.read_text().splitlines().count(name)

    @property
    def reached(self) -> Path:
        """A file that is there from when a trial waits at the gate."""
        assert self.gate is not None
        return self.gate.with_name(f"{self.gate.name} reached")

    def _at(self, trial: PlannedTrial, place: str) -> None:
        if place == self.kill_at and self.kill_name in (None, trial.name):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.gate and place == self.gate_at and self.gate_name in (None, trial.name):
            self.reached.touch()
            wait_for(self.gate.exists)


def score(key: str) -> float:
    """An accuracy that follows from the key: 0.5 to 0.75."""
    return 0.5 + int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) / 2**18


def settings(folder: Path) -> list[str]:
    """Overrides that keep a sweep inside a folder."""
    return [
        f"tracking.dir={folder / 'mlruns'}",
        f"data.cache={folder / 'cache'}",
        "data.phantom.lesions=8",
        "trainer.batch_size=4",
        "backbone=squeezenet",
        "backbone.weights=none",
    ]


def composed(overrides: Sequence[str]) -> Config:
    """The config of these overrides.

    To compose takes a tenth of a second. Folders differ between tests: they are put in afterwards,
    and what is the same but for them is composed once.
    """
    places = {"tracking.dir": "", "data.cache": ""}
    kept = tuple(word for word in overrides if word.partition("=")[0] not in places)
    places |= dict(word.split("=", 1) for word in overrides if word not in kept)
    config = _composed(kept)
    record, prepared = places.values()
    tracking = replace(config.tracking, dir=record or config.tracking.dir)
    data = replace(config.data, cache=prepared or config.data.cache)
    return replace(config, tracking=tracking, data=data)


@cache
def _composed(overrides: tuple[str, ...]) -> Config:
    return compose_config(overrides)


def sweep(folder: Path, *arguments: str, instant: Instant | None = None) -> list[Outcome]:
    """Run a sweep in this process with trials that train nothing."""
    begin_with_tables(folder / "mlruns")
    execute = instant or Instant(folder / "log")
    return run_sweep([*settings(folder), *arguments], composed, execute=execute)


def _quietly(folder: Path, arguments: Sequence[str], instant: Instant) -> None:
    console.quiet = True
    sweep(folder, *arguments, instant=instant)


def start(folder: Path, *arguments: str, instant: Instant) -> ForkServerProcess:
    """The same in a process of its own."""
    return fork(_quietly, folder, arguments, instant)
