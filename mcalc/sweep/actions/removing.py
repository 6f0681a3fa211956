"""Remove sweeps from both stores, with their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import optuna

from mcalc.config import Config, Line
from mcalc.console import console
from mcalc.disk_usage import bytes_below
from mcalc.errors import UserError
from mcalc.sweep.actions.opening import open_sweeps
from mcalc.sweep.store import (
    HaltKind,
    Halts,
    Jobs,
    Leases,
    Storage,
    SweepStudy,
    run_ids,
    trajectory_of,
)
from mcalc.tracking import Removal, RunPlace
from mcalc.training import checkpoint_path
from mcalc.trials import open_tracker


@dataclass(frozen=True)
class _Contents:
    """What belongs to one sweep and to no other."""

    runs: list[RunPlace]
    checkpoints: list[Path]


def remove(config: Config, line: Line) -> int:
    """Say what a removal of the sweeps named would remove; with confirm=true, remove it.

    Killed halfway, the same command finishes it: the study, which names all else, goes last.
    """
    storage, studies = open_sweeps(config, line.names)
    removal = Removal(open_tracker(config))
    for study in studies:
        _refuse_workers(Leases(storage, study.name))
    for study in studies:
        contents = _contents(config, storage, study, removal)
        _say(study, contents)
        if line.words["confirm"]:
            _remove(storage, study, removal, contents)
            console.print(f"{study.name} is removed")
    if not line.words["confirm"]:
        console.print("nothing was removed: confirm=true removes it, and nothing brings it back")
    elif not removal.final:
        console.print("the server has its runs marked as deleted: `mlflow gc` there removes them")
    return 0


def _remove(storage: Storage, study: SweepStudy, removal: Removal, contents: _Contents) -> None:
    halts, leases = Halts(storage, study.name), Leases(storage, study.name)
    halts.halt(HaltKind.removed)
    _refuse_workers(leases)  # one that began while this was found out
    for run in contents.runs:
        removal.remove(run)
    for file in contents.checkpoints:
        file.unlink(missing_ok=True)
    Jobs(storage).remove_all(study.name)
    leases.remove_all()
    halts.lift()
    optuna.delete_study(study_name=study.name, storage=storage.optuna)


def _contents(config: Config, storage: Storage, study: SweepStudy, removal: Removal) -> _Contents:
    parent = study.parent()
    runs = removal.of_sweep(parent) if parent else []
    trajectories = {trajectory_of(attempt) for attempt in study.attempts()}
    trajectories |= {run.tags.get("mcalc.trajectory", "") for run in runs}
    kept_runs, kept_trajectories = _of_others(storage, study)
    mine = {run.run_id for run in runs}
    checkpoints = []
    for trajectory in trajectories - kept_trajectories - {""}:
        file = checkpoint_path(Path(config.tracking.dir), trajectory)
        alone = all(run.run_id in mine for run in removal.of_trajectory(trajectory))
        if file.is_file() and alone:
            checkpoints.append(file)
    return _Contents([run for run in runs if run.run_id not in kept_runs], checkpoints)


def _of_others(storage: Storage, study: SweepStudy) -> tuple[set[str], set[str]]:
    """MLflow runs and training runs that other sweeps of the store name."""
    runs: set[str] = set()
    trajectories: set[str] = set()
    for name in optuna.get_all_study_names(storage.optuna):
        other = SweepStudy.find(storage, name) if name != study.name else None
        for attempt in other.attempts() if other else ():
            runs |= set(run_ids(attempt))
            trajectories.add(trajectory_of(attempt))
    return runs, trajectories


def _say(study: SweepStudy, contents: _Contents) -> None:
    folders = [run.folder for run in contents.runs if run.folder]
    files, kept = bytes_below(*folders), bytes_below(*contents.checkpoints)
    console.print(
        f"{study.name}: {len(study.attempts())} entries in Optuna, {len(contents.runs)} runs in "
        f"MLflow with {files / 1e6:.1f} MB of files, {len(contents.checkpoints)} checkpoints with "
        f"{kept / 1e6:.1f} MB"
    )


def _refuse_workers(leases: Leases) -> None:
    for owner in leases.settled_owners():
        raise UserError(
            f"{owner} works at {leases.study}: end it, or give `python -m mcalc.sweep cancel "
            f"{leases.study}` and wait, before remove"
        )
