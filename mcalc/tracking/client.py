"""MLflow's client, for records that several workers write to at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlflow.entities import DatasetInput, LoggedModelInput
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

_COLLISION = "BAD_REQUEST"
"""MLflow's code for what the database refused, on this machine and from a server."""


class RecordClient(MlflowClient):
    """A client whose writes do not fail of another worker's that come at the same moment.

    MLflow looks whether a tag or a data set is there before it inserts it: of two workers that do
    so at once, the database refuses the second ("UNIQUE constraint failed").
    """

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> None:
        """Set a tag of a run; the last of several workers' values stays."""
        _again(lambda: super(RecordClient, self).set_tag(run_id, key, value, synchronous))

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Note the data sets of a run, once each."""
        _again(lambda: super(RecordClient, self).log_inputs(run_id, datasets, models))


def _again(write: Callable[[], Any]) -> None:
    """Write a second time where the first met another worker's write, and finds it then."""
    try:
        write()
    except MlflowException as error:
        if error.error_code != _COLLISION:
            raise
        write()
