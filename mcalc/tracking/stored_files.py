"""The files of a closed run, wherever its store keeps them: here, or with a tracking server.

MLflow's `download_artifacts` without a destination leaves a folder of its own behind for each call.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.tracking.moved import artifact_folder, lost_folder


def place_in(directory: Path, client: MlflowClient, run: Run) -> Path:
    """Folder of the files of a run of the record below `directory`.

    It is the run's own, whatever address MLflow has: that may be wrong, and another run's. The
    folder is not there where its files are gone.
    """
    run_id, address = str(run.info.run_id), str(run.info.artifact_uri)
    place = artifact_folder(directory, run_id, address)
    here = lost_folder(directory, run_id)
    if place or here.is_dir():
        return place or here
    try:
        return _local(client, run) or here
    except (MlflowException, OSError):
        return here


def place_of(client: MlflowClient, run: Run, directory: Path | None) -> Path | None:
    """Folder of a run's files on this machine; None where they have to be fetched.

    `directory` is that of a record on this machine, None where a server or a database has it.

    Raises what MLflow raises where it names a place on this machine, and nothing is there.
    """
    return place_in(directory, client, run) if directory else _local(client, run)


def _local(client: MlflowClient, run: Run) -> Path | None:
    if urlsplit(str(run.info.artifact_uri)).scheme not in ("", "file"):
        return None
    # the place itself: MLflow copies nothing that lies on its own machine
    return Path(client.download_artifacts(str(run.info.run_id), ""))


class FetchedFiles:
    """A run's files in a temporary folder, gone with this object, or when the process ends."""

    def __init__(
        self, client: MlflowClient, run_id: str, names: Sequence[str] | None = None
    ) -> None:
        """Fetch those of these names, of files or folders, that the run has, or all of it.

        Raises what MLflow raises where they cannot be read.
        """
        self.path = Path(tempfile.mkdtemp(prefix="mcalc-fetched-"))
        weakref.finalize(self, shutil.rmtree, self.path, True)
        self.names = frozenset(str(file.path) for file in client.list_artifacts(run_id))
        """Names of all files and folders that the run has."""
        for name in sorted(self.names if names is None else self.names.intersection(names)):
            client.download_artifacts(run_id, name, str(self.path))


@contextmanager
def run_files(
    client: MlflowClient, run: Run, directory: Path | None, names: Sequence[str] | None = None
) -> Iterator[Path]:
    """A folder with a run's files, or with at least those of these names that it has.

    In a record on this machine it is the run's own, which nobody may change. From a server they
    are fetched, and the folder is gone afterwards.

    Raises what MLflow raises where a server cannot give them.
    """
    place = place_of(client, run, directory)
    if place is not None:
        yield place
        return
    fetched = FetchedFiles(client, str(run.info.run_id), names)
    try:
        yield fetched.path
    finally:
        shutil.rmtree(fetched.path, ignore_errors=True)


@contextmanager
def files_of(
    client: MlflowClient, run_id: str, directory: Path | None, names: Sequence[str] | None = None
) -> Iterator[Path | None]:
    """As `run_files`, of a run that MLflow may have lost.

    None where it has, and the store is not on this machine; else its folder, which may be gone.
    """
    here = lost_folder(directory, run_id) if directory else None
    run = None if here and here.is_dir() else _known(client, run_id)
    if run is None:
        yield here
        return
    with run_files(client, run, directory, names) as folder:
        yield folder


def _known(client: MlflowClient, run_id: str) -> Run | None:
    try:
        return client.get_run(run_id)
    except MlflowException:
        return None
