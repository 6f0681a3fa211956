"""`from_run=ID`: a recorded trial run again from its settings, and compared number by number.

The new run is of a kind of its own (`mcalc.tracking.tracker.RERUN`): tables, sweeps and the look
for finished trials do not take it for the trial. It trains anew, with a checkpoint of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mcalc.atomic_write import make_record_folder
from mcalc.config import Config, PlannedTrial, plan_trial, plugins_of
from mcalc.console import console
from mcalc.data import IndexedData, index_data
from mcalc.errors import UserError
from mcalc.results import RecordedTrial
from mcalc.tracking import (
    find_trial,
    read_run,
    read_settings,
    unfinished_rerun,
    with_results,
)
from mcalc.training import CheckpointFile, Placement, Setup, TrainingProgress, checkpoint_path
from mcalc.trials.artifacts import json_tag
from mcalc.trials.comparison import as_table, compare
from mcalc.trials.conditions import notes, setup_to_keep
from mcalc.trials.places import open_tracker, say_where
from mcalc.trials.provenance import git_revision, versions
from mcalc.trials.recorded_settings import identity_differences, recorded_config
from mcalc.trials.runner import run_trials
from mcalc.trials.sweep_record import SweepRecord
from mcalc.trials.turns import finish

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Rerun:
    """A recorded trial that can be run again here."""

    old: RecordedTrial
    """With its predictions and curve."""
    trial: PlannedTrial
    data: IndexedData
    setup: Setup
    """What it was computed with."""


def rerun(present: Config, given: Collection[str]) -> bool:
    """Run the trial of `from_run` again and print the comparison; whether all numbers are equal.

    Args:
        present: what the command line and `conf/` say now.
        given: keys of the command line.

    Raises UserError where the trial cannot be run again with the same numbers, naming all that
    stands in the way, and where training fails.
    """
    work = _prepared(present, given)
    old, trial = work.old, work.trial
    gone = ", which a later run has replaced" if old.superseded else ""
    _log.info(f"{old.name}: run {old.run_id}{gone} is run again and compared")
    tracking = trial.config.tracking
    with _own_checkpoint(trial, old) as file:
        known = _run_to_resume(trial.config, old, file)
        within = SweepRecord(from_run=old.run_id, known_runs={trial.key: known} if known else {})
        (outcome,) = finish(
            run_trials(
                [trial],
                work.data,
                open_tracker(trial.config),
                [TrainingProgress(trial.name)],
                within,
                Placement(setup=work.setup),
                file,
            )
        )
    if outcome.state != "finished" or outcome.run_id is None:
        raise UserError(f"{trial.name} failed when run again: {outcome.error}")
    new = read_run(tracking, outcome.run_id)
    same = _print_comparison(old, new)
    open_tracker(trial.config).compared(new.run_id, same=same)
    say_where(trial.config, new.run_id, in_report=False)
    return same


def _prepared(present: Config, given: Collection[str]) -> _Rerun:
    """The recorded trial with all that running it again needs.

    Raises UserError that names everything that stands in the way.
    """
    found = find_trial(present.tracking, str(present.from_run))
    config = recorded_config(present, given, read_settings(present.tracking, found), found)
    old = with_results(present.tracking, found)
    reasons = identity_differences(config, old)
    setup, missing = setup_to_keep(config.trainer, old)
    reasons += missing
    data = None
    recorded = old.tags.get("mcalc.fingerprint", "not recorded")
    try:
        data = index_data(config.data)
    except UserError as error:
        reasons.append(f"data fingerprint was {recorded}, here the data cannot be read ({error})")
    if data and data.fingerprint != recorded:
        reasons.append(
            f"data fingerprint was {recorded}, here it is {data.fingerprint} (data.source="
            f"{config.data.source} data.root={config.data.root or 'null'})"
        )
    if reasons or data is None or setup is None:
        raise UserError(
            f"run {old.run_id} ({old.name}) cannot come out the same here: {'; '.join(reasons)}"
        )
    trial = plan_trial(old.name, config, data.fingerprint)
    if trial.key != old.key:
        raise UserError(
            f"run {old.run_id} ({old.name}) has the key {old.key}, but its settings give "
            f"{trial.key}: a file that they name was changed meanwhile; give the command again"
        )
    return _Rerun(old, trial, data, setup)


@contextmanager
def _own_checkpoint(trial: PlannedTrial, old: RecordedTrial) -> Iterator[CheckpointFile]:
    """The checkpoint of re-runs of this run alone; that of the trial's training run stays as it is.

    Raises UserError where another process runs it again now, in the same record folder.
    """
    directory = Path(trial.config.tracking.dir)
    path = checkpoint_path(directory, f"{trial.trajectory}-from-{old.run_id}")
    make_record_folder(path.parent)
    lock = FileLock(path.with_suffix(".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"another process runs {old.run_id} ({old.name}) again right now: wait for its end"
        ) from error
    try:
        yield CheckpointFile(path)
    finally:
        # while it is held: nobody waits for it, and what is left of a folder is what it was
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _run_to_resume(config: Config, old: RecordedTrial, file: CheckpointFile) -> str | None:
    """The id of a re-run that was cut off and that this code may complete; else None.

    Without one the checkpoint is removed: no run continues from that of another.
    """
    left = unfinished_rerun(config.tracking, old.run_id)
    mine = {
        "mcalc.git": git_revision(),
        "mcalc.versions": json_tag({**versions(), **plugins_of(config)}),
    }
    if left and all(left.tags.get(tag) == value for tag, value in mine.items()):
        return left.run_id
    file.remove()
    return None


def _print_comparison(old: RecordedTrial, new: RecordedTrial) -> bool:
    """Print what is equal and what is not; whether all is."""
    parts = compare(old, new)
    same = not any(part.difference for part in parts)
    console.print(as_table(parts))
    # below the table, which would break long ids
    for part in parts:
        if part.difference:
            console.print(f"{part.what}: {part.difference}")
    others = notes(old, new)
    if others:
        console.print("not as it was then" + ("" if same else ", which may be why") + ":")
        for each in others:
            console.print(f"  {each}")
    verdict = "all numbers are equal, to the last bit" if same else "NOT the same numbers"
    console.print(f"{old.name}: run {new.run_id} beside run {old.run_id}: {verdict}")
    return same
