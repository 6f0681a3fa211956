"""The files of a finished trial's run, for those who know the settings and not MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcalc.config import TrackingConfig
from mcalc.results import RecordedTrial
from mcalc.tracking.reader import reading_client
from mcalc.tracking.stored_files import run_files


@contextmanager
def run_folder(
    tracking: TrackingConfig, trial: RecordedTrial, names: Sequence[str]
) -> Iterator[Path]:
    """As `run_files`, of a trial that was found in the record that the settings name."""
    client = reading_client(tracking)
    assert client is not None  # the trial was found there
    directory = Path(tracking.dir) if tracking.uri is None else None
    with run_files(client, client.get_run(trial.run_id), directory, names) as folder:
        yield folder
