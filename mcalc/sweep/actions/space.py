"""What lies below tracking.dir and data.cache, how much it takes, and what of it can go."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
from rich.table import Table

from mcalc.config import Config, Line
from mcalc.console import console
from mcalc.disk_usage import sized_files
from mcalc.sweep.store import DONE, Storage, SweepStudy, exists, storage_url, trajectory_of
from mcalc.tracking import NETWORK_FILE, RunSpace, read_space, read_unsent

_KEPT = re.compile(r"(.+\.db)(-\w+)?\.(half-made|damaged|before-repair|left)-\d+.*")
_NO = "no"
_DELETE = "with the run: delete it on MLflow's page, then `mlflow gc`"
_REMOVE = "`python -m mcalc.sweep remove NAME`"
_RERUN = "yes: what counts stands in other runs; delete the run's folder"


@dataclass(frozen=True)
class Use:
    """What files are for, and whether they can go."""

    what: str
    can_go: str


def show_space(config: Config, line: Line) -> int:
    """Print a table of what takes room, the largest first. Deletes nothing."""
    total: dict[Use, list[int]] = defaultdict(list)
    for use, size in (*_in_record(config), *_in_cache(Path(config.data.cache))):
        total[use].append(size)
    table = Table("what", "files", "MB", "can go")
    for use, sizes in sorted(total.items(), key=lambda each: -sum(each[1])):
        table.add_row(use.what, str(len(sizes)), f"{sum(sizes) / 1e6:,.1f}", use.can_go)
    console.print(table)
    everything = sum(sum(sizes) for sizes in total.values())
    console.print(f"{everything / 1e6:,.1f} MB in all; nothing was deleted")
    return 0


def _in_record(config: Config) -> Iterator[tuple[Use, int]]:
    folder = Path(config.tracking.dir)
    runs = read_space(config.tracking)
    waiting = [run for run in read_unsent(config.tracking).values() if not run.sent]
    trajectories = _open_trajectories(config, runs)
    for file, size in sized_files(folder):
        top, *below = file.relative_to(folder).parts
        if top == "artifacts" and below:
            use = _of_run(runs.get(below[0]), below[-1])
        elif top == "checkpoints":
            use = _of_checkpoint(file.stem in trajectories)
        elif top == "unsent":
            sent = "no: send them with `python -m mcalc.sweep send`"
            use = Use("runs kept while a server was away", sent if waiting else "yes: delete it")
        elif top in ("logs", "hydra"):
            use = Use("logs of workers and launchers", "yes, of workers that have ended: delete")
        elif _KEPT.fullmatch(top):
            use = Use("databases set aside", "yes, once the record is as it should be: delete")
        elif ".db" in top:
            use = Use("databases", f"no; {_REMOVE} takes a sweep out of them")
        else:
            use = Use("other files of the record", _NO)
        yield use, size


def _of_run(run: RunSpace | None, name: str) -> Use:
    if run is None:
        return Use("files of runs that MLflow has not", "yes, after `python -m mcalc.sweep check`")
    where = run.sweep or "single trials"
    if run.state in ("failed", "interrupted"):
        return Use(f"{where}: {run.state} runs", f"no: the same command resumes; {_REMOVE}")
    if run.state == "replaced":
        return Use(f"{where}: replaced and abandoned runs", _RERUN)
    if run.state == "deleted":
        return Use(f"{where}: runs deleted in MLflow", "yes: `mlflow gc` removes them")
    how = f"with the sweep: {_REMOVE}" if run.sweep else _DELETE
    if name == NETWORK_FILE:
        return Use(f"{where}: networks", f"{how}; tracking.keep_models keeps fewer")
    return Use(f"{where}: other files", how)


def _of_checkpoint(is_open: bool) -> Use:
    if is_open:
        return Use("checkpoints of open training runs", "no: the same command resumes from them")
    return Use("checkpoints of finished or unknown training runs", "yes: delete")


def _open_trajectories(config: Config, runs: dict[str, RunSpace]) -> set[str]:
    """Training runs that the same command as before would resume."""
    found = {
        run.trajectory for run in runs.values() if run.state in ("running", "interrupted", "failed")
    }
    if exists(config):
        storage = Storage(storage_url(config), config.storage_wait)
        for name in optuna.get_all_study_names(storage.optuna):
            study = SweepStudy.find(storage, name)
            newest = study.newest().values() if study else ()
            found |= {trajectory_of(each) for each in newest if each.state not in DONE}
    return found


def _in_cache(folder: Path) -> Iterator[tuple[Use, int]]:
    for file, size in sized_files(folder):
        if file.relative_to(folder).parts[0] == "prepared":
            use = Use("prepared images (data.cache)", "yes: delete; made again where needed")
        elif file.relative_to(folder).parts[0] == "features":
            use = Use("features of frozen networks (data.cache)", "yes: delete; computed again")
        else:
            use = Use("other caches (data.cache): phantoms, hashes", "yes: delete; made again")
        yield use, size
