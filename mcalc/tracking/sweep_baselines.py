"""Scores without an image of a sweep's trials, each of which has them in a file."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from mcalc.tracking.files import BASELINES_FILE, read_baselines
from mcalc.tracking.stored_files import files_of

if TYPE_CHECKING:
    from mcalc.tracking.tracker import Tracker


def baselines_of(tracker: Tracker, run_id: str) -> dict[str, float]:
    """Those of a closed run; none where its file is not to be had."""
    names = [BASELINES_FILE]
    with (
        suppress(MlflowException),
        files_of(tracker.client, run_id, tracker.directory, names) as folder,
    ):
        return read_baselines(folder) if folder else {}
    return {}
