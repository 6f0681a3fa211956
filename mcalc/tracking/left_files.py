"""Files of a run whose worker died before it closed the run.

The worker that resumes the run writes its files again, and not always the same ones. It may keep a
network where the first one wrote that another trial's is better, or the other way round. MLflow's
pictures have the time in their names, so that the first worker's would stay beside the second's.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.retry import UnreachableError
from mcalc.tracking.files import NETWORK_FILE, NETWORK_GONE_FILE

_log = logging.getLogger(__name__)
_EXCLUSIVE = {NETWORK_FILE, NETWORK_GONE_FILE}
"""Of which a closed run has one at most; all others are written over."""


def remove_left_files(client: MlflowClient, run: Run, folder: Path | None, uri: str | None) -> None:
    """Remove them before the run is written again. A finished run keeps its files.

    Files that cannot be removed are warned of.

    Args:
        folder: where the files lie, in a record on this machine; None of another record. There the
            network and the note that it was not kept are removed, and no other file.
        uri: address of that other record.
    """
    if run.info.status == "FINISHED":
        return
    run_id = str(run.info.run_id)
    try:
        if folder is None:
            for name in _EXCLUSIVE & {file.path for file in client.list_artifacts(run_id)}:
                remove_on_server(run, name, uri)
        elif folder.is_dir():
            shutil.rmtree(folder)
    except (UnreachableError, MlflowException, OSError) as error:
        _log.warning(f"  run {run_id} may keep files from before it was cut off: {error}")


def remove_on_server(run: Run, name: str, uri: str | None) -> None:
    """Remove one file of a run; `uri`: of the record. Raises MlflowException or OSError."""
    # late: only a server needs it
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place: Any = get_artifact_repository(str(run.info.artifact_uri), uri)
    place.delete_artifacts(name)
