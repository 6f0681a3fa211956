"""The files of a finished run, wherever its store keeps them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow.exceptions import MlflowException

from mcalc.config import TrackingConfig
from mcalc.results import RecordedTrial
from mcalc.tracking.moved import artifact_folder
from mcalc.tracking.reader import reading_client


@contextmanager
def run_folder(
    tracking: TrackingConfig, trial: RecordedTrial, names: Sequence[str]
) -> Iterator[Path]:
    """A folder with those of a run's files of these names that its record has.

    In a record on this machine it is the run's own, which nobody may change. From a server they
    are fetched, and the folder is gone afterwards.
    """
    client = reading_client(tracking)
    assert client is not None  # the trial was found there
    if tracking.uri is None:
        address = str(client.get_run(trial.run_id).info.artifact_uri)
        place = artifact_folder(Path(tracking.dir), trial.run_id, address)
        if place is not None:
            yield place
            return
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with suppress(MlflowException, OSError):
                client.download_artifacts(trial.run_id, name, folder)
        yield Path(folder)
