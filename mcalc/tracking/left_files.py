"""The files of a run that its worker did not live to close.

Who resumes the run writes all of them anew, and may keep others: a network for which another trial
had been better, or the note that one was. Each picture in MLflow's page has a name of its own.
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
    """Remove them before the run is written again; those of a finished run stay.

    Args:
        folder: with the run's files, of a record on this machine.
        uri: of another record. There only the network and the note of one that is not kept are
            removed; a server that is away is warned of.
    """
    if run.info.status == "FINISHED":
        return
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    run_id = str(run.info.run_id)
    try:
        for name in _EXCLUSIVE & {file.path for file in client.list_artifacts(run_id)}:
            remove_on_server(run, name, uri)
    except (UnreachableError, MlflowException, OSError) as error:
        _log.warning(f"  run {run_id} may keep files from before it was cut off: {error}")


def remove_on_server(run: Run, name: str, uri: str | None) -> None:
    """Remove one file of a run; `uri`: of the record. Raises MlflowException or OSError."""
    # late: only a server needs it
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place: Any = get_artifact_repository(str(run.info.artifact_uri), uri)
    place.delete_artifacts(name)
