"""What MLflow's page opens on: a view of the trials, as its button "Share" keeps one.

MLflow stores a shared view as a tag of the experiment: JSON of the page's state, compressed by
deflate and written in base64. Its page reads it by `?viewStateShareKey=KEY`. The names of the state
are those of MLflow's page itself (`EXPERIMENT_PAGE_UI_STATE_FIELDS` in its source).
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mcalc.tracking.names import CONFIGURATION, CURVE, RESULT, metric_names
from mcalc.tracking.runs import search

KEY = "mcalc"
"""Of the view in an address: `viewStateShareKey=mcalc`."""
_TAG = f"mlflow.sharedViewState.{KEY}"
_FIGURES = ("accuracy", "accuracy_low", "accuracy_high", "auc", "validation_auc")
_CURVES = ("val_loss", "val_auc", "val_accuracy", "train_loss")
_PICTURES = ("crops", "confusion")
_MOST_VARIED = 8
"""Columns of parameters."""
_SWEEP = "mcalc.sweep_id"
_NO_COLUMNS = ("name", CONFIGURATION)
_WIDTHS = {"metrics": 170, "params": 120, "tags": 120}
"""Pixels of a column."""


def write_view(client: MlflowClient, experiment: str) -> None:
    """Keep the view of an experiment's trials as they are now, in place of an earlier one."""
    runs = search(client, [experiment], {"mcalc.kind": "trial"})
    client.set_experiment_tag(experiment, _TAG, packed(view_of(runs)))


def view_of(runs: Sequence[Run]) -> dict[str, Any]:
    """The state of MLflow's page over these trials.

    Sorted by the AUC on what stopped training where nothing of that is reported, else by name: what
    is reported should choose nothing.
    """
    varied = varied_parameters([run.data.params for run in runs])
    recorded = {name for run in runs for name in run.data.metrics}
    figures = [_recorded(name, RESULT, recorded) for name in _FIGURES]
    metrics = [_column("metrics", name) for name in figures if name in recorded]
    # trials of several sweeps may have one name
    sweeps = {run.data.tags.get(_SWEEP) for run in runs}
    columns = [_column("tags", _SWEEP)] if len(sweeps) > 1 else []
    columns += [*metrics, *(_column("params", name) for name in varied)]
    by_validation = _recorded("validation_auc", RESULT, recorded)
    sorted_by_it = by_validation in recorded
    return {
        "searchFilter": "tags.`mcalc.kind` = 'trial'",
        "orderByKey": _column("metrics", by_validation)
        if sorted_by_it
        else "tags.`mlflow.runName`",
        "orderByAsc": not sorted_by_it,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {name: _WIDTHS[name.partition(".")[0]] for name in columns},
        "runsHiddenMode": "FIRST_20_RUNS",
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "viewMaximized": False,
        "runListHidden": False,
        **_charts(varied, recorded),
    }


def varied_parameters(params: Iterable[Mapping[str, str]]) -> list[str]:
    """Names of the parameters that are not the same in all runs, at most `_MOST_VARIED`."""
    values: dict[str, set[str | None]] = {}
    all_of = list(params)
    for name in {name: None for each in all_of for name in each}:
        values[name] = {each.get(name) for each in all_of}
    varied = [name for name, seen in values.items() if len(seen) > 1 and name not in _NO_COLUMNS]
    return varied[:_MOST_VARIED]


def packed(state: Mapping[str, Any]) -> str:
    """A state as MLflow keeps it."""
    text = json.dumps(state, separators=(",", ":"))
    return f"deflate;{base64.b64encode(zlib.compress(text.encode())).decode()}"


def _column(kind: str, name: str) -> str:
    """A column as MLflow's page calls it."""
    return f"{kind}.`{name}`"


def _recorded(name: str, section: str, recorded: Iterable[str]) -> str:
    """What a metric is called in this record: in its section, or as in earlier versions."""
    now, before = metric_names(name, section)
    return before if before in recorded and now not in recorded else now


def _charts(varied: Sequence[str], recorded: set[str]) -> dict[str, Any]:
    """Charts in three sections: figures of the trials, their curves, and pictures."""
    cards: list[dict[str, Any]] = []

    def card(kind: str, section: str, number: int, **more: Any) -> None:
        cards.append(
            {
                "uuid": f"mcalc-{section}-{number}",
                "type": kind,
                "runsCountToCompare": 20,
                "metricSectionId": f"mcalc-{section}",
                "deleted": False,
                "isGenerated": False,
                **more,
            }
        )

    for number, name in enumerate(("accuracy", "auc", "validation_auc")):
        metric = _recorded(name, RESULT, recorded)
        if metric in recorded:
            card("BAR", "results", number, metricKey=metric, displayName=name)
    if varied:
        auc = _recorded("auc", RESULT, recorded)
        card(
            "PARALLEL",
            "results",
            len(_FIGURES),
            selectedParams=list(varied),
            selectedMetrics=[auc],
            showAllRuns=True,
            displayName="settings and AUC",
        )
    for number, name in enumerate(_CURVES):
        metric = _recorded(name, CURVE, recorded)
        card(
            "LINE",
            "curves",
            number,
            metricKey=metric,
            selectedMetricKeys=[metric],
            displayName=f"{name} by iteration",
            xAxisKey="step",
            xAxisScaleType="linear",
            scaleType="linear",
            lineSmoothness=0,
            selectedXAxisMetricKey="",
            yAxisKey="metric",
            yAxisExpressions=[],
            ignoreOutliers=False,
            useGlobalXaxisKey=True,
            useGlobalLineSmoothing=True,
            range={},
        )
    for number, name in enumerate(_PICTURES):
        card("IMAGE", "pictures", number, imageKeys=[name], step=0, displayName=name)
    sections = [("results", "Results"), ("curves", "Curves"), ("pictures", "Pictures")]
    return {
        "compareRunCharts": cards,
        "compareRunSections": [
            {
                "uuid": f"mcalc-{section}",
                "name": title,
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": False,
            }
            for section, title in sections
        ],
        "isAccordionReordered": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }
