"""A record that was moved or copied with its folder: where its artifacts lie now.

MLflow stores the absolute address of each run's artifacts. A record keeps them in `artifacts/`
beside its database, so that the addresses follow from where the database is.
"""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mcalc.errors import UserError
from mcalc.sqlite_file import opened
from mcalc.tracking.places import ARTIFACTS, artifacts_uri, database_of

_ADDRESSES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))
"""Tables of MLflow with addresses below that of their experiment."""
_log = logging.getLogger(__name__)


def rebase(directory: Path) -> None:
    """Let the addresses of a moved or copied record name its artifacts where they are now.

    In one transaction. Nothing happens where they do already.

    Raises UserError where the artifacts did not come with the database.
    """
    now = artifacts_uri(directory)
    with opened(database_of(directory)) as database:
        database.isolation_level = None
        query = "SELECT experiment_id, artifact_location FROM experiments"
        moved = [(i, old) for i, old in database.execute(query) if _is_ours(old) and old != now]
        if not moved:
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            for experiment, old in moved:
                runs = "SELECT run_uuid FROM runs WHERE experiment_id = ?"
                ids = [str(run) for (run,) in database.execute(runs, (experiment,))]
                _check_came_along(directory, old, ids)
                for table, column in _ADDRESSES:
                    database.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE experiment_id = ? AND substr({column}, 1, ?) = ?",
                        (now, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
                    )
                database.execute(
                    "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                    (now, experiment),
                )
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
    was = ", ".join(sorted({str(_path(old).parent) for _, old in moved}))
    _log.info(f"the record was at {was} before: its artifacts are found here from now on")


def artifact_folder(directory: Path, run_id: str, address: str) -> Path | None:
    """Where the artifacts of a run of the record below `directory` lie, moved or not.

    None for an address that is not a folder of such a record.
    """
    place = lost_folder(directory, run_id)
    parts = urlsplit(address).path.rstrip("/").rsplit("/", 3)
    ours = address.startswith("file:") and parts[1:] == [ARTIFACTS, run_id, ARTIFACTS]
    return place if ours else None


def lost_folder(directory: Path, run_id: str) -> Path:
    """Where the files of a run lie, or would lie, that the database may have lost."""
    return directory.resolve() / ARTIFACTS / run_id / ARTIFACTS


def _is_ours(location: object) -> bool:
    return str(location).startswith("file:") and str(location).endswith(f"/{ARTIFACTS}")


def _check_came_along(directory: Path, old: str, run_ids: list[str]) -> None:
    here, before = directory.resolve() / ARTIFACTS, _path(old)
    missing = [run for run in run_ids if not (here / run).is_dir()]
    left = [run for run in missing if (before / run).is_dir()]
    if left or (run_ids and len(missing) == len(run_ids)):
        raise UserError(
            f"{directory} has the database of a record that was at {before.parent}, but not the "
            f"artifacts of {len(left or missing)} of its {len(run_ids)} runs: move or copy the "
            "whole folder, or go on with the record where it was"
        )


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))
