"""Of the networks of a sweep, the best of each split alone: `tracking.keep_models=best`.

Several workers may end trials at once. Each looks after its own end at all that have ended, so that
the last of them sees every one. Whether a network is kept and which are removed is told by one and
the same rank (`_rank`), which no two runs share: the first of all that have ended was then never
beaten, and nobody removes it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.results import SUPERSEDED_TAG, VALIDATION_AUC
from mcalc.retry import UnreachableError
from mcalc.tracking.files import NETWORK_FILE, NETWORK_GONE_FILE
from mcalc.tracking.names import PARENT_TAG, RESULT, plain_metrics
from mcalc.tracking.runs import artifacts_of

_log = logging.getLogger(__name__)
_FIRST = 50
"""Best runs that are looked at: as many workers may end at once."""


class BestNetwork:
    """The networks that the trials of one sweep kept."""

    def __init__(
        self,
        client: MlflowClient,
        experiment: str,
        parent: str,
        directory: Path | None,
        uri: str | None,
    ) -> None:
        """`parent`: the sweep's run; `directory`: of a record here, `uri`: of another."""
        self._client = client
        self._experiment = experiment
        self._directory = directory
        self._parent = parent
        self._uri = uri

    def is_beaten(self, split: str, run_id: str, area: float) -> bool:
        """Whether a finished run of another trial ranks before a run that ends now.

        Args:
            split: fingerprint of the trial's split: only trials validated on the same are compared.
            run_id: the run; earlier runs of its own trial do not count.
            area: its AUC on validation, in [0, 1].
        """
        try:
            others = self._ranked(split)
            run = self._client.get_run(run_id)
        except UnreachableError:  # the server is away: kept, until a trial ends that sees it
            return False
        key = run.data.tags.get("mcalc.key")
        first = next((each for each in others if each.data.tags.get("mcalc.key") != key), None)
        return first is not None and _rank(first, _area(first)) < _rank(run, area)

    def remove_beaten(self, split: str) -> None:
        """Remove the network of every finished trial of this split but the best."""
        try:
            ranked = self._ranked(split)
            for run in ranked[1:]:
                self._remove(run, ranked[0])
        except (UnreachableError, MlflowException, OSError) as error:
            # the next trial that ends tries again
            _log.warning(f"  networks that are not the best were not removed: {error}")

    def _ranked(self, split: str) -> list[Run]:
        """Finished runs of a split, the best first; of equal ones the one that began first."""
        found = self._client.search_runs(
            [self._experiment],
            f"tags.`{PARENT_TAG}` = '{self._parent}' and tags.`mcalc.split` = '{split}' "
            "and attributes.status = 'FINISHED'",
            max_results=_FIRST,
            order_by=[f"metrics.`{RESULT}{VALIDATION_AUC}` DESC", "attributes.start_time ASC"],
        )
        runs = [run for run in found if SUPERSEDED_TAG not in run.data.tags]
        return sorted(runs, key=lambda run: _rank(run, _area(run)))

    def _remove(self, run: Run, best: Run) -> None:
        why = (
            f"tracking.keep_models=best: run {best.info.run_id} ({best.info.run_name}) has at "
            f"least the same AUC on validation ({_area(best):.4f}, here {_area(run):.4f})\n"
        )
        run_id = str(run.info.run_id)
        # first why: a file that is missing without it is a damage to the record
        if self._directory is not None:
            folder = artifacts_of(self._client, run, self._directory)
            if (folder / NETWORK_FILE).is_file():
                (folder / NETWORK_GONE_FILE).write_text(why, encoding="utf-8")
                (folder / NETWORK_FILE).unlink()
        elif NETWORK_FILE in {file.path for file in self._client.list_artifacts(run_id)}:
            # late: only a server needs it
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            self._client.log_text(run_id, why, NETWORK_GONE_FILE)
            place: Any = get_artifact_repository(str(run.info.artifact_uri), self._uri)
            place.delete_artifacts(NETWORK_FILE)


def _area(run: Run) -> float:
    return plain_metrics(run.data.metrics).get(VALIDATION_AUC, -1.0)


def _rank(run: Run, area: float) -> tuple[float, int, str]:
    """Sorts the best first: by AUC on validation, of equal ones the run that began first."""
    return -area, int(run.info.start_time), str(run.info.run_id)
