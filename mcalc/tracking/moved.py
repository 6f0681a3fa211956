"""A record that was moved or copied with its folder: where its artifacts lie now.

MLflow stores the absolute address of each run's artifacts. A record keeps them in `artifacts/`
beside its database, so that the addresses follow from where the database is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mcalc.errors import UserError
from mcalc.sqlite_file import opened
from mcalc.tracking.places import ARTIFACTS, artifacts_uri, database_of

_ADDRESSES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))
"""Tables of MLflow with addresses below that of their experiment."""
_RUNS = """
    SELECT r.run_uuid, r.status = 'FINISHED' AND r.lifecycle_stage = 'active'
        AND EXISTS (SELECT * FROM tags t
            WHERE t.run_uuid = r.run_uuid AND t.key = 'mcalc.kind' AND t.value <> 'sweep')
    FROM runs r WHERE r.experiment_id = ?"""
"""The runs of an experiment, and whether each must have files: a trial or model, and finished."""
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
                runs = dict(database.execute(_RUNS, (experiment,)))
                _check_came_along(directory, old, runs)
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


def _check_came_along(directory: Path, old: str, runs: Mapping[str, int]) -> None:
    """Raise UserError where files of finished runs did not come with the database.

    A trial's run has files before MLflow calls it finished. Any other run may have had none when
    the record was copied. Those that it has where the record was may be of later: the original of a
    copy goes on.

    Args:
        directory: folder of the record.
        old: address of its artifacts where it was.
        runs: all of an experiment by their ids, and whether each must have files.
    """
    here, before = directory.resolve() / ARTIFACTS, _path(old)
    finished = [run for run, must_have_files in runs.items() if must_have_files]
    missing = [run for run in finished if not (here / run).is_dir()]
    left = [run for run in missing if (before / run).is_dir()]
    if not any((here / run).is_dir() for run in runs):
        left = missing  # nothing came, and nothing may be left where it was
    if left:
        raise UserError(
            f"{directory} has the database of a record that was at {before.parent}, but not the "
            f"artifacts of {len(left)} of its {len(finished)} finished runs: move or copy the "
            "whole folder, or go on with the record where it was"
        )


def _path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))
