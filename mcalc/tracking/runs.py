"""MLflow runs of trials and sweeps: found by their tags, and read as trials."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient

from mcalc.errors import UserError
from mcalc.results import Artifacts, RecordedTrial, check_format
from mcalc.tracking.counting import since
from mcalc.tracking.names import PARENT_TAG as PARENT_TAG
from mcalc.tracking.names import all_settings, plain_metrics
from mcalc.tracking.run_writer import STATE_TAG

FORMAT_TAG = "mcalc.format"
_INTERNAL = "INTERNAL_ERROR"
"""MLflow's code for an error that it did not foresee."""
RERUN = "rerun"
"""Kind of a run that repeats another one (`from_run`); those of trials are `trial`."""


def search(
    client: MlflowClient,
    experiments: list[str],
    tags: Mapping[str, str],
    state: str = "",
    order: str = "DESC",
) -> list[Run]:
    """Runs with these tags, and in this state where one is given; by start, the newest first.

    `order`: DESC, or ASC for the oldest first.
    """
    quoted = {name: _quoted(value) for name, value in tags.items()}
    conditions = [f"tags.`{name}` = {text}" for name, text in quoted.items() if text]
    if state:
        conditions.append(f"attributes.status = '{state}'")
    found = every(client, experiments, " and ".join(conditions), f"attributes.start_time {order}")
    rest = [name for name, text in quoted.items() if not text]
    return [run for run in found if all(run.data.tags.get(name) == tags[name] for name in rest)]


def _quoted(value: str) -> str:
    """A value as MLflow's queries take it; empty for one with quotes of both kinds."""
    quotes = [quote for quote in "'\"" if quote not in value]
    return f"{quotes[0]}{value}{quotes[0]}" if quotes else ""


def every(
    client: MlflowClient,
    experiments: list[str],
    query: str,
    order: str,
    view: int = ViewType.ACTIVE_ONLY,
) -> list[Run]:
    """All runs that a query of MLflow finds, of however many pages."""
    found: list[Run] = []
    token = None
    while True:
        try:
            page = client.search_runs(
                experiments, query, view, max_results=5000, order_by=[order], page_token=token
            )
        except MlflowException as error:
            if isinstance(error, RestException) or error.error_code != _INTERNAL:
                raise
            raise UserError(
                f"MLflow cannot read a run of the record ({error.message}): `python -m mcalc.sweep "
                "check` names it, and repair=true mends it"
            ) from error
        found += page
        token = page.token
        if not token:
            return found


def recorded_trial(run: Run, artifacts: Artifacts | None = None) -> RecordedTrial:
    """An MLflow run as a trial. Raises UserError for one that a newer mcalc wrote."""
    tags = dict(run.data.tags)
    check_format(tags.get(FORMAT_TAG), f"run {run.info.run_id}")
    killed = tags.get(STATE_TAG, "interrupted")
    states = {"FINISHED": "finished", "FAILED": "failed", "KILLED": killed}
    return RecordedTrial(
        run_id=str(run.info.run_id),
        name=str(run.info.run_name),
        state=states.get(str(run.info.status), "running"),
        params=all_settings(run.data.params, tags),
        metrics=plain_metrics(run.data.metrics),
        tags=tags,
        artifacts=artifacts,
        ended=_time(run.info.end_time),
        since=since(run),
    )


def _time(milliseconds: int | None) -> str:
    if not milliseconds:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"
