"""How fast trials ran on this machine, for the estimate of a plan.

A record on this machine is read from its database itself: MLflow, whose import takes seconds, would
be most of what a plan takes.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mcalc.config import TrackingConfig
from mcalc.sqlite_file import opened
from mcalc.tracking.names import RESULT, SETTINGS_TAG, metric_names
from mcalc.tracking.places import database_of

NETWORK_BYTES_TAG = "mcalc.network_bytes"
"""Size of the weights of a trial's network."""
_HARDWARE = ("device", "precision", "memory_format", "threads")
"""Tags of what a trial's speed depends on."""
_PARAMS = ("backbone.name", "trainer.batch_size")
_FROZEN = ("backbone.freeze", "augment.enabled")
_READ_PARAMS = (*_PARAMS, *_FROZEN)
_TAGS = (*(f"mcalc.{name}" for name in _HARDWARE), NETWORK_BYTES_TAG)
_METRICS = ("seconds", "iterations")
_NEWEST = 500
"""Trials that are looked at, the newest."""


@dataclass(frozen=True)
class Speed:
    """How fast trials of one kind were."""

    seconds: float
    """An iteration, evaluations included: the median of the newest trials."""
    network_bytes: int | None
    """Size of the network's weights; None where the record does not have it."""


@dataclass(frozen=True)
class _Timed:
    """What a finished trial's run says of its speed."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def read_speeds(tracking: TrackingConfig, host: str) -> dict[tuple[str, ...], Speed]:
    """How fast trials on this host were.

    By backbone, batch, what is frozen, device, precision, memory format and threads.

    Raises UserError where the record is damaged or its server cannot be reached.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for run in _timed(tracking, host):
        kind = (
            *(run.params.get(key, "") for key in _PARAMS),
            what_is_frozen(*(run.params.get(key, "") for key in _FROZEN)),
            *(run.tags.get(f"mcalc.{name}", "") for name in _HARDWARE),
        )
        if run.metrics.get("iterations"):
            found.setdefault(kind, []).append(run.metrics["seconds"] / run.metrics["iterations"])
            if (size := run.tags.get(NETWORK_BYTES_TAG, "")).isdecimal():
                sizes.setdefault(kind, int(size))
    return {kind: Speed(statistics.median(each), sizes.get(kind)) for kind, each in found.items()}


def what_is_frozen(stages: str, augments: str) -> str:
    """The part of a training step that is not computed in it, by two settings as they are recorded.

    Without augmentation, stages that are frozen are computed once.
    """
    if stages in ("", "0", "all"):
        return stages or "0"
    return stages if augments == "True" else f"{stages} once"


def _timed(tracking: TrackingConfig, host: str) -> Iterable[_Timed]:
    """The newest finished trials of a host."""
    if tracking.uri is None:
        database = database_of(Path(tracking.dir))
        if not database.exists():
            return []
        # without the right to write, SQLite cannot read its log: MLflow gets a copy
        if os.access(database.parent, os.W_OK):
            try:
                return _in_database(database, host)
            except sqlite3.Error:
                pass  # tables of another version, or in use for long: MLflow says which
    return _by_mlflow(tracking, host)


def _in_database(database: Path, host: str) -> list[_Timed]:
    columns = [
        *(_setting() for _ in _READ_PARAMS),
        *(_value("tags") for _ in _TAGS),
        *(_metric() for _ in _METRICS),
    ]
    query = f"""
        SELECT {", ".join(columns)}
        FROM runs r
        JOIN experiments e ON e.experiment_id = r.experiment_id AND e.lifecycle_stage = 'active'
        JOIN tags h ON h.run_uuid = r.run_uuid AND h.key = 'mcalc.host' AND h.value = ?
        WHERE r.status = 'FINISHED' AND r.lifecycle_stage = 'active'
        ORDER BY r.start_time DESC, r.run_uuid
        LIMIT {_NEWEST}"""
    settings = (word for key in _READ_PARAMS for word in (key, f'$."{key}"', SETTINGS_TAG))
    metrics = (name for metric in _METRICS for name in metric_names(metric, RESULT))
    given = (*settings, *_TAGS, *metrics, host)
    with opened(database) as connection, closing(connection.execute(query, given)) as rows:
        return [_row(values) for values in rows]


def _value(table: str, more: str = "", what: str = "v.value") -> str:
    return f"(SELECT {what} FROM {table} v WHERE v.run_uuid = r.run_uuid AND v.key = ? {more})"


def _setting() -> str:
    """A setting: a parameter, or a part of a tag."""
    kept = _value("tags", "AND json_valid(v.value)", "json_extract(v.value, ?)")
    return f"coalesce({_value('params')}, {kept})"


def _metric() -> str:
    """A metric by its name in this version, or in an earlier one."""
    one = _value("latest_metrics", "AND NOT v.is_nan")
    return f"coalesce({one}, {one})"


def _row(values: Sequence[object]) -> _Timed:
    texts, numbers = values[: -len(_METRICS)], values[-len(_METRICS) :]
    params, tags = texts[: len(_READ_PARAMS)], texts[len(_READ_PARAMS) :]
    return _Timed(
        {k: str(v) for k, v in zip(_READ_PARAMS, params, strict=True) if v is not None},
        {k: str(v) for k, v in zip(_TAGS, tags, strict=True) if v is not None},
        {k: float(v) for k, v in zip(_METRICS, numbers, strict=True) if isinstance(v, int | float)},
    )


def _by_mlflow(tracking: TrackingConfig, host: str) -> list[_Timed]:
    # late: seconds
    from mcalc.tracking.reader import reading_client
    from mcalc.tracking.runs import recorded_trial

    client = reading_client(tracking)
    if client is None:
        return []
    runs = client.search_runs(
        [found.experiment_id for found in client.search_experiments()],
        f"tags.`mcalc.host` = '{host}' and attributes.status = 'FINISHED'",
        max_results=_NEWEST,
        order_by=["attributes.start_time DESC"],
    )
    trials = [recorded_trial(run) for run in runs]
    return [_Timed(trial.params, trial.tags, trial.metrics) for trial in trials]
