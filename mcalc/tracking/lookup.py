"""One recorded trial, found by what a user calls it, with the files that a re-run compares."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.config import TrackingConfig
from mcalc.errors import UserError, nearest, without_password
from mcalc.iteration import grouped
from mcalc.results import FROM_RUN_TAG, Artifacts, RecordedTrial
from mcalc.tracking.counting import newest_first
from mcalc.tracking.files import BASELINES_FILE, read_baselines, read_curve, read_predictions
from mcalc.tracking.places import nothing_recorded
from mcalc.tracking.reader import reading_client
from mcalc.tracking.run_folder import run_folder
from mcalc.tracking.runs import PARENT_TAG, RERUN, recorded_trial, search

T = TypeVar("T")

_WHOLE_ID = re.compile("[0-9a-f]{32}")
_PREFIX = re.compile("[0-9a-f]{6,31}")
_SHOWN = 5
"""Runs that a message names."""
_UNFINISHED = {
    "failed": "failed: it has no result to compare; the command that ran it tries it again",
    "running": "is running, or was cut off: let it finish, or give its command again, which "
    "resumes it",
    "interrupted": "was interrupted: give its command again, which resumes it",
    "pruned": "was pruned, on the curves of other trials: it has no result to compare",
}
"""Why a run in another state than finished cannot be run again."""


class SeveralTrialsError(UserError):
    """What a user said means several recorded trials."""


def find_trial(tracking: TrackingConfig, word: str, setting: str = "from_run") -> RecordedTrial:
    """The finished trial that a user names, without artifacts.

    Args:
        tracking: the record.
        word: the id of its MLflow run, six or more first digits of it, or the trial's name, alone
            or behind that of its sweep (`alexnet/AL3`). Of several finished runs of that name in
            one sweep the one that counts in its report is meant.
        setting: where the user named it, for messages.

    Raises UserError where there is none, where several are meant, and for a run that is no trial,
    did not finish or was deleted.
    """
    asked = f"{setting}={word}"
    client = reading_client(tracking)
    if client is None:
        raise nothing_recorded(tracking, asked)
    experiments = [found.experiment_id for found in client.search_experiments()]
    trial = recorded_trial(_find(client, experiments, word, tracking, asked))
    kind = trial.tags.get("mcalc.kind")
    if kind == "sweep":
        raise _is_a_sweep(client, experiments, trial, asked)
    if kind not in ("trial", RERUN):
        raise UserError(f"{asked}: run {trial.run_id} is no trial that mcalc recorded")
    if trial.state != "finished":
        reason = _UNFINISHED[trial.state]
        raise UserError(f"{asked}: run {trial.run_id} ({trial.name}) {reason}")
    return trial


def _find(
    client: MlflowClient, experiments: list[str], word: str, tracking: TrackingConfig, asked: str
) -> Run:
    if _WHOLE_ID.fullmatch(word) and (run := _by_id(client, word, asked)):
        return run
    named = _by_name(client, experiments, word)
    sweep, slash, name = word.partition("/")
    if slash and not named:
        named = _by_name(client, experiments, name, sweep)
    begun: list[Run] = []
    if _PREFIX.fullmatch(word):
        begun = list(client.search_runs(experiments, f"attributes.run_id LIKE '{word}%'"))
    found = {run.info.run_id: run for run in (*named, *begun)}
    if len(found) > 1:
        several = [_described(run) for run in found.values()]
        more = f" and {len(several) - _SHOWN} more" if len(several) > _SHOWN else ""
        raise SeveralTrialsError(
            f"{asked} means several recorded trials: {', '.join(several[:_SHOWN])}{more}; "
            "give the id of one"
        )
    if not found:
        raise _not_found(client, experiments, word, tracking, asked)
    return next(iter(found.values()))


def _by_id(client: MlflowClient, run_id: str, asked: str) -> Run | None:
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if run.info.lifecycle_stage == LifecycleStage.DELETED:
        raise UserError(f"{asked}: this run was deleted in MLflow: restore it there")
    return run


def _by_name(
    client: MlflowClient, experiments: list[str], name: str, sweep: str | None = None
) -> list[Run]:
    """Of each sweep the finished run of this name that counts, and of each single trial.

    In one sweep a name has several trials where its row was edited, or the numerics changed. Where
    none is finished, it is the newest run.

    `sweep`: title or id of the sweep that it belongs to; None for any, or for a single trial.
    """
    tags = {"mcalc.kind": "trial"}
    if "'" not in name:  # MLflow's queries cannot quote it
        tags["mlflow.runName"] = name
    runs = [run for run in search(client, experiments, tags) if run.info.run_name == name]
    if sweep is not None:
        parents = {
            run.info.run_id
            for run in search(client, experiments, {"mcalc.kind": "sweep"})
            if sweep in (run.data.tags.get("mcalc.sweep"), run.data.tags.get("mcalc.sweep_id"))
        }
        runs = [run for run in runs if run.data.tags.get(PARENT_TAG) in parents]
    finished = newest_first(run for run in runs if run.info.status == "FINISHED")
    rivals = grouped(
        finished, lambda run: run.data.tags.get(PARENT_TAG) or run.data.tags.get("mcalc.key", "")
    )
    return [_counting(each) for each in rivals.values()] or runs[:1]


def _counting(runs: Sequence[Run]) -> Run:
    """Of finished runs, in the order in which they count, the first that is not replaced."""
    return next((run for run in runs if not recorded_trial(run).superseded), runs[0])


def _described(run: Run) -> str:
    tags = run.data.tags
    sweep = tags.get("mcalc.sweep_id")
    place = f" of the sweep {sweep}" if sweep and PARENT_TAG in tags else ""
    return f"{run.info.run_id} ({run.info.run_name}{place})"


def _not_found(
    client: MlflowClient, experiments: list[str], word: str, tracking: TrackingConfig, asked: str
) -> UserError:
    parents = search(client, experiments, {"mcalc.kind": "sweep"})
    for parent in parents:
        if word in (parent.data.tags.get("mcalc.sweep"), parent.data.tags.get("mcalc.sweep_id")):
            return _is_a_sweep(client, experiments, recorded_trial(parent), asked)
    runs = search(client, experiments, {"mcalc.kind": "trial"}, "FINISHED")
    known = {str(run.info.run_name) for run in runs}
    if re.fullmatch("[0-9a-f]{6,}", word):
        known |= {str(run.info.run_id) for run in runs}
    place = f"tracking.dir={tracking.dir}"
    if tracking.uri:
        place = f"tracking.uri={without_password(tracking.uri)}"
    short = ""
    if re.fullmatch("[0-9a-f]{1,5}", word):
        short = "; of an id give at least six digits"
    return UserError(
        f"{asked}: under {place} no run has this id and no trial this "
        f"name{nearest(word, known)}{short} (`python -m mcalc.sweep list` and `make ui` show what "
        "is recorded)"
    )


def _is_a_sweep(
    client: MlflowClient, experiments: list[str], parent: RecordedTrial, asked: str
) -> UserError:
    trials = search(client, experiments, {PARENT_TAG: parent.run_id}, "FINISHED", "ASC")
    shown = [_described(run) for run in trials[:_SHOWN]]
    return UserError(
        f"{asked}: run {parent.run_id} is the sweep {parent.name}, not a trial: name one "
        f"of its trials, as {', '.join(shown) or 'soon as one has finished'}"
    )


def read_settings(tracking: TrackingConfig, trial: RecordedTrial) -> str:
    """The text of a trial's config.yaml. Raises UserError where it cannot be had."""
    return _read(tracking, trial, "config.yaml", lambda path: path.read_text(encoding="utf-8"))


def with_results(tracking: TrackingConfig, trial: RecordedTrial) -> RecordedTrial:
    """The trial with its predictions and curve. Raises UserError where they cannot be read."""
    predictions = _read(
        tracking, trial, "predictions.csv", lambda path: read_predictions(path.parent)
    )
    curve = _read(tracking, trial, "curve.csv", lambda path: read_curve(path.parent))
    metrics = {**_baselines(tracking, trial), **trial.metrics}
    return replace(trial, metrics=metrics, artifacts=Artifacts(predictions, curve))


def _baselines(tracking: TrackingConfig, trial: RecordedTrial) -> dict[str, float]:
    """Those in a file of their own, which a trial has in a sweep."""
    if PARENT_TAG not in trial.tags:
        return {}
    try:
        return _read(tracking, trial, BASELINES_FILE, lambda path: read_baselines(path.parent))
    except UserError:
        return {}  # an earlier version recorded them among the metrics


def read_run(tracking: TrackingConfig, run_id: str) -> RecordedTrial:
    """A finished run with its predictions and curve.

    Raises UserError as `with_results`, and where a server that was away does not have the run.
    """
    client = reading_client(tracking)
    assert client is not None  # a run was written there
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise UserError(
            f"run {run_id} was not taken by the tracking server and is kept on this machine, so "
            "that it is not compared: give the command again when the server answers"
        ) from error
    return with_results(tracking, recorded_trial(run))


def _read(
    tracking: TrackingConfig, trial: RecordedTrial, name: str, read: Callable[[Path], T]
) -> T:
    """What `read` makes of one of the trial's files."""
    what = f"{name} of run {trial.run_id} ({trial.name})"
    with run_folder(tracking, trial, [name]) as folder:
        path = folder / name
        if not path.is_file():
            raise UserError(
                f"{what} is not among its artifacts, so that nothing can be made of the run: put "
                "it back, or run the trial again with rerun=true"
            )
        try:
            return read(path)
        except (csv.Error, KeyError, OSError, TypeError, ValueError) as error:
            raise UserError(
                f"{what} is damaged ({type(error).__name__}: {error}), so that nothing can be "
                "made of the run: put the file back, or run the trial again with rerun=true"
            ) from error


def unfinished_rerun(tracking: TrackingConfig, run_id: str) -> RecordedTrial | None:
    """The newest re-run of a run that was cut off; None where there is none."""
    client = reading_client(tracking)
    assert client is not None  # the run that it repeats was found there
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = search(client, experiments, {"mcalc.kind": RERUN, FROM_RUN_TAG: run_id})
    trials = (recorded_trial(run) for run in runs)
    return next((trial for trial in trials if trial.state in ("running", "interrupted")), None)
