"""Sweeps in processes of their own, as a user starts them (found by pytest's `pythonpath`)."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import processes
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from small_network import SMALL_NETWORK
from sqlalchemy import Row, create_engine, text

from mcalc.results import RecordedTrial
from mcalc.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[1]
_TRIAL = (
    "data.phantom.lesions=32",
    "trainer.batch_size=4",
    "trainer.max_iterations=6",
    "trainer.val_every=2",
    "trainer.threads=1",
    "tracking.keep_models=none",
)
SMALL = (*SMALL_NETWORK, *_TRIAL)
"""A trial of a second or two on one core."""
SQUEEZENET = ("backbone=squeezenet", "backbone.weights=none", *_TRIAL)
"""One that trains for some seconds, so that it can be met in training."""
PATIENCE_SECONDS = 900.0
"""Far more than anything takes: a busy machine fails no test."""


@dataclass(frozen=True)
class Worker:
    """A started `python -m mcalc.train -m ...`, with what it prints in a file."""

    process: processes.Started
    log: Path

    def printed(self) -> str:
        return self.log.read_text()

    def ended(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(PATIENCE_SECONDS)


def start(*arguments: str, log: Path, folder: Path = ROOT, **environment: str) -> Worker:
    """Start a sweep of SQUEEZENET's trials in a folder: they last, so that they are met at work."""
    words = ["mcalc.train", "-m", *SQUEEZENET, *arguments]
    given = {**os.environ, **environment}
    return Worker(processes.start(*words, folder=folder, environment=given, log=log), log)


def wait_for(condition: Callable[[], object], *workers: Worker) -> None:
    """Wait until it holds; a worker that ends before fails the test with what it printed."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        for worker in workers:
            assert worker.process.poll() is None, worker.printed()
        assert time.monotonic() < until, [worker.printed() for worker in workers]
        time.sleep(0.2)


def at_work(storage: str) -> dict[str, int]:
    """Process numbers of workers with a lease on a training run, by run."""
    query = "SELECT work, process FROM mcalc_claims WHERE work <> 'parent run'"
    return {row.work: row.process for row in _rows(storage, query)}


def running(storage: str) -> dict[str, str]:
    """MLflow runs of the trials that a study has as running, by training run."""
    query = """
        SELECT a.value_json AS identity, b.value_json AS run FROM trials t
        JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'identity'
        JOIN trial_user_attributes b ON b.trial_id = t.trial_id AND b.key = 'mlflow_run'
        WHERE t.state = 'RUNNING'"""
    rows = _rows(storage, query)
    return {json.loads(row.identity)["trajectory"]: json.loads(row.run) for row in rows}


def completed(storage: str) -> int:
    """How many trials a study has as complete."""
    return len(_rows(storage, "SELECT trial_id FROM trials WHERE state = 'COMPLETE'"))


def _rows(storage: str, query: str) -> Sequence[Row[Any]]:
    """What a store answers; nothing while its tables are not there.

    Opening a study with Optuna takes twenty times as long, and tests ask several times a second.
    """
    engine = create_engine(storage)
    try:
        with engine.connect() as connection:
            return connection.execute(text(query)).all()
    except Exception:
        return []
    finally:
        engine.dispose()


def in_training(storage: str) -> dict[str, int]:
    """Those at work whose run in MLflow the study knows."""
    working = at_work(storage)
    known = running(storage) if working else {}
    return {run: process for run, process in working.items() if run in known}


def attempts(storage: str) -> list[FrozenTrial]:
    """Every attempt of the one sweep that a store holds."""
    opened = RDBStorage(storage)
    try:
        (name,) = optuna.get_all_study_names(opened)
        return optuna.load_study(study_name=name, storage=opened).get_trials()
    finally:
        opened.engine.dispose()


def recorded(runs: Path) -> list[RecordedTrial]:
    """Every trial's run of the one sweep that MLflow holds."""
    tracker = Tracker(runs, "mcalc")
    (parent,) = tracker._search({"mcalc.kind": "sweep"})
    return tracker.runs_of(parent.info.run_id)


def predictions(runs: Path) -> dict[str, dict[str, str]]:
    """By name of each finished trial, each lesion's probability, with every digit."""
    tracker = Tracker(runs, "mcalc")
    found = {}
    for run in tracker._search({"mcalc.kind": "trial"}, state="FINISHED"):
        if "mcalc.superseded_by" in run.data.tags:
            continue
        # without a name: MLflow copies a single file, and leaves the copy behind
        folder = Path(tracker.client.download_artifacts(run.info.run_id, ""))
        with (folder / "predictions.csv").open(newline="") as table:
            rows = {row["lesion"]: row["probability"] for row in csv.DictReader(table)}
        found[str(run.info.run_name)] = rows
    return found
