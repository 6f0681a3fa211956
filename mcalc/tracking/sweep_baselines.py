"""Scores without an image of a sweep's trials, each of which has them in a tag and in a file."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from mcalc.tracking.files import BASELINES_FILE, baselines_in, read_baselines
from mcalc.tracking.names import BASELINES_TAG
from mcalc.tracking.stored_files import files_of

if TYPE_CHECKING:
    from mcalc.tracking.tracker import Tracker


class SweepBaselines:
    """Those of the closed runs of one sweep.

    A server is asked once for all, when one is wanted: a file takes eight questions.
    """

    def __init__(self, tracker: Tracker, parent: str) -> None:
        """`parent`: the sweep's own run."""
        self._tracker = tracker
        self._parent = parent

    @cached_property
    def _tags(self) -> dict[str, str]:
        runs = self._tracker.runs_of(self._parent)
        tags = ((run.ids, run.tags.get(BASELINES_TAG)) for run in runs)
        return {each: tag for ids, tag in tags if tag is not None for each in ids}

    def of(self, run_id: str) -> dict[str, float]:
        """Those of a run; none where they are not to be had."""
        # files on this machine are read faster than MLflow answers
        if self._tracker.directory is None and run_id in self._tags:
            return baselines_in(self._tags[run_id])
        return self._in_its_file(run_id)

    def _in_its_file(self, run_id: str) -> dict[str, float]:
        """Those of a run of an earlier version, or of one that MLflow lost."""
        client, directory = self._tracker.client, self._tracker.directory
        with (
            suppress(MlflowException),
            files_of(client, run_id, directory, [BASELINES_FILE]) as folder,
        ):
            return read_baselines(folder) if folder else {}
        return {}
