"""Of the networks of a sweep, the best of each split alone: `tracking.keep_models=best`.

Several workers may end trials at once. Each looks after its own end at all that have ended, so that
the last of them sees every one. A network is removed, or not kept, only for one that is there and
at least as good. So the best of those that are there stays, whichever trial began or ended first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.results import SUPERSEDED_TAG, VALIDATION_AUC
from mcalc.retry import UnreachableError
from mcalc.tracking.files import NETWORK_FILE, NETWORK_GONE_FILE
from mcalc.tracking.left_files import remove_on_server
from mcalc.tracking.names import PARENT_TAG, RESULT, plain_metrics
from mcalc.tracking.stored_files import place_in

_log = logging.getLogger(__name__)
_FIRST = 50
"""Best runs that are looked at, at a time: as many workers may end at once."""


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

    def is_beaten(self, split: str, key: str, area: float) -> bool:
        """Whether a finished trial has a network at least as good.

        Args:
            split: fingerprint of the trial's split: only trials validated on the same are compared.
            key: identity of the trial, whose own earlier runs do not count.
            area: its AUC on validation, in [0, 1].
        """
        try:
            others = (run for run in self._ranked(split) if run.data.tags.get("mcalc.key") != key)
            best = next(filter(self._has_network, others), None)
        except (UnreachableError, MlflowException, OSError):
            # the server or its files are away: kept, until a trial ends that sees them
            return False
        return best is not None and _area(best) >= area

    def remove_beaten(self, split: str) -> None:
        """Remove the network of every finished trial of this split but the best that has one."""
        try:
            first = islice(self._ranked(split), _FIRST)
            holding = list(filter(self._has_network, first))
            for run in holding[1:]:
                self._remove(run, holding[0])
        except (UnreachableError, MlflowException, OSError) as error:
            # the next trial that ends tries again
            _log.warning(f"  networks that are not the best were not removed: {error}")

    def _ranked(self, split: str) -> Iterator[Run]:
        """Finished runs of a split, the best first; of equal ones the one that began first."""
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.`{PARENT_TAG}` = '{self._parent}' and tags.`mcalc.split` = '{split}' "
                "and attributes.status = 'FINISHED'",
                max_results=_FIRST,
                order_by=[f"metrics.`{RESULT}{VALIDATION_AUC}` DESC", "attributes.start_time ASC"],
                page_token=token,
            )
            yield from (run for run in page if SUPERSEDED_TAG not in run.data.tags)
            token = page.token
            if not token:
                return

    def _has_network(self, run: Run) -> bool:
        if self._directory is not None:
            return (place_in(self._directory, self._client, run) / NETWORK_FILE).is_file()
        files = self._client.list_artifacts(str(run.info.run_id))
        return NETWORK_FILE in {file.path for file in files}

    def _remove(self, run: Run, best: Run) -> None:
        why = (
            f"tracking.keep_models=best: run {best.info.run_id} ({best.info.run_name}) has at "
            f"least the same AUC on validation ({_area(best):.4f}, here {_area(run):.4f})\n"
        )
        # first why: a file that is missing without it is a damage to the record
        if self._directory is not None:
            folder = place_in(self._directory, self._client, run)
            (folder / NETWORK_GONE_FILE).write_text(why, encoding="utf-8")
            (folder / NETWORK_FILE).unlink(missing_ok=True)
            return
        self._client.log_text(str(run.info.run_id), why, NETWORK_GONE_FILE)
        remove_on_server(run, NETWORK_FILE, self._uri)


def _area(run: Run) -> float:
    return plain_metrics(run.data.metrics).get(VALIDATION_AUC, -1.0)
