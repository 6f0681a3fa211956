"""What the sweep engine itself costs: trials that train nothing, recorded whole, and read back."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.planning import axis
from mcalc.command_line import run_command
from mcalc.config import PlannedTrial, flatten, is_numeric
from mcalc.config.compose import compose_config
from mcalc.console import console as engine_console
from mcalc.data import IndexedData
from mcalc.results import CurvePoint, Outcome, Predictions
from mcalc.sweep import run_sweep
from mcalc.tracking import RunWriter, Tracker
from mcalc.training import Listener, Placement
from mcalc.trials import SweepRecord, Work
from mcalc.trials.artifacts import config_yaml
from mcalc.trials.parameters import configuration_of, shown_settings

_LESIONS, _EVALUATIONS = 100, 5
"""Reported lesions and evaluations of a trial that is recorded whole."""
_METRICS = {
    **{f"metric_{i}": float(i) for i in range(20)},
    **{"accuracy": 0.5, "auc": 0.5, "seconds": 1.0, "iterations": 5.0, "reported_val_auc": 0.5},
}
_SEARCH = """\
space: {head.weight_lr: {low: 1, high: 30}, trainer.lr: {low: 1.0e-5, high: 1.0e-3, log: true}}
sampler: random
pruner: none
objective: val_auc
budget: {trials: %d}
"""


class NoTraining:
    """Stands in for training: records each trial at once, in full but for pictures."""

    def __init__(self, *, files: bool = True) -> None:
        """`files`: whether predictions, curve and settings are recorded too."""
        self.files = files
        self.ended: list[float] = []
        self.processor: list[float] = []

    def __call__(
        self,
        trials: Sequence[PlannedTrial],
        _: IndexedData,
        tracker: Tracker,
        listeners: Sequence[Listener],
        within: SweepRecord,
        placement: Placement,
    ) -> Work:
        """Open a run, write parameters, files and metrics, close it, report to the study."""
        yield from ()
        outcomes = []
        for trial in trials:
            params = {k: v for k, v in flatten(trial.config).items() if is_numeric(k)}
            tags = {"mcalc.split": "one", "mcalc.protocol": trial.config.protocol.name.value}
            writer = tracker.open_trial(
                trial.name,
                trial.key,
                params,
                tags,
                within.parent,
                shown=shown_settings(trial),
                configuration=configuration_of(trial.name, trial.config),
            )
            for listener in listeners:
                listener.opened(trial, writer.run_id)
                listener.recording(trial)
            if self.files:
                _write_files(writer, trial)
            sealed = writer.finish(_METRICS, {"mcalc.data": "none"})
            outcome = Outcome(
                trial.name, trial.key, "finished", writer.run_id, dict(_METRICS), manifest=sealed
            )
            for listener in listeners:
                listener.recorded(outcome)
            outcomes.append(outcome)
            self.ended.append(time.perf_counter())
            self.processor.append(time.process_time())
        return outcomes


def _write_files(writer: RunWriter, trial: PlannedTrial) -> None:
    writer.text(config_yaml(trial.config), "config.yaml")
    curve = [CurvePoint(i + 1, i / 5, 0.7, 0.5, 0.7, 0.5, 0.5) for i in range(_EVALUATIONS)]
    for point in curve:
        writer.point(point)
    labels = np.arange(_LESIONS) % 2
    ids = tuple(f"lesion {i}" for i in range(_LESIONS))
    writer.table(Predictions(ids, labels, np.full(_LESIONS, 0.5)))
    writer.curve(curve)


Costs = dict[str, list[float]]
"""Seconds from the end of one trial to the end of the next: by the clock (`wall`), and of this
process's `processor`, which other work on the machine changes little."""


def record(folder: Path, trials: int, *, search: bool = False, files: bool = True) -> Costs:
    """Run that many trials that train nothing, on SQLite in a folder."""
    nothing = NoTraining(files=files)
    arguments = [axis(trials)]
    if search:
        (folder / "sweeps").mkdir()
        (folder / "sweeps" / "nothing.yaml").write_text(_SEARCH % trials)
        arguments = ["sweep=nothing"]
    with _quiet(), contextlib.chdir(folder if search else os.curdir):
        run_sweep(
            [*arguments, "name=nothing", *_places(folder), "data.phantom.lesions=8"],
            lambda overrides: replace(compose_config(overrides)),
            execute=nothing,
        )
    times = {"wall": nothing.ended, "processor": nothing.processor}
    return {name: [after - before for before, after in pairwise(t)] for name, t in times.items()}


def overheads(trials: int, *, search: bool = False, files: bool = True) -> Costs:
    """As `record`, in a folder that is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        return record(Path(folder), trials, search=search, files=files)


def reading_seconds(trials: int) -> dict[str, float]:
    """How long the report's tables and `sweep check` take over a record of that many trials."""
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), trials)
        places = _places(Path(folder))
        both = ["alexnet=nothing", "googlenet=nothing", f"out={folder}/report"]
        commands = {
            "report": ("report", ["table=1", *both, *places[:1]]),
            "check": ("sweep", ["check", "nothing", *places[:1]]),
        }
        found = {}
        for name, (command, arguments) in commands.items():
            began = time.perf_counter()
            with _quiet():
                status = run_command(command, arguments)
            if status:
                raise RuntimeError(f"{command} {' '.join(arguments)} ended with {status}")
            found[name] = time.perf_counter() - began
    return found


def _places(folder: Path) -> list[str]:
    return [f"tracking.dir={folder / 'mlruns'}", f"data.cache={folder / 'cache'}"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before, engine_console.quiet = engine_console.quiet, True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        engine_console.quiet = before
