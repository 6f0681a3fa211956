"""Names in MLflow: metrics in sections, and few parameters; read back as mcalc calls them.

MLflow's page sorts metrics into sections by what stands before a slash. A record of an earlier
version has no sections, and all settings as parameters: both are read alike.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields

from mcalc.results import CurvePoint

PARENT_TAG = "mlflow.parentRunId"
CURVE_COLUMNS = [entry.name for entry in fields(CurvePoint)]
NOT_DRAWN = ("iteration", "epoch")
"""Columns of a curve that are no metrics: its steps. Earlier versions wrote the epoch."""
RESULT, CURVE, BASELINE = "result/", "training/", "without_image/"
"""Sections of metrics: of a trial's end, of its evaluations, and of what looks at no image."""
_SECTIONS = (RESULT, CURVE, BASELINE)
_WITHOUT_IMAGE = ("majority_", "size_", "descriptors_")
"""How the names of baselines begin (`mcalc.evaluation.baselines`)."""
BASELINES_TAG = "mcalc.baselines"
"""Those of a sweep's trial, as JSON: MLflow gives the tags of many runs at once, but files one by
one."""
SETTINGS_TAG = "mcalc.settings"
"""Begin of the tags with the settings, as JSON, that are no parameters in MLflow. A long one is cut
into `mcalc.settings`, `mcalc.settings.2` and so on."""
CONFIGURATION = "configuration"
"""Parameter that trials have in common which differ in seed, fold or repeat alone: MLflow's page
groups by it, and gives the mean of a group."""
_TAG_LENGTH = 4000
"""MLflow takes 8000 characters, in earlier versions 5000."""


def in_section(section: str, values: Mapping[str, float]) -> dict[str, float]:
    """Metrics by their names in MLflow."""
    return {f"{section}{name}": value for name, value in values.items()}


def of_an_end(values: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a trial's end by their names in MLflow, baselines in their own section."""
    return {
        f"{BASELINE if is_baseline(name) else RESULT}{name}": value
        for name, value in values.items()
    }


def is_baseline(name: str) -> bool:
    """Whether a metric says what can be scored without looking at an image."""
    return name.startswith(_WITHOUT_IMAGE)


def plain_metrics(recorded: Mapping[str, float]) -> dict[str, float]:
    """A run's metrics without their sections.

    A run of an earlier version that this one resumed has some under both names: the later counts.
    """
    plain = {name: value for name, value in recorded.items() if not name.startswith(_SECTIONS)}
    for section in _SECTIONS:
        plain |= {n.removeprefix(section): v for n, v in recorded.items() if n.startswith(section)}
    return plain


def stand_twice(recorded: Mapping[str, float]) -> list[str]:
    """Metrics of a trial's end that a run has in a section and without one: one was added."""
    return sorted(
        name for name in recorded if name not in CURVE_COLUMNS and f"{RESULT}{name}" in recorded
    )


def metric_names(name: str, section: str = CURVE) -> tuple[str, str]:
    """What MLflow calls a metric in records of this version, and of earlier ones."""
    return f"{section}{name}", name


def split_settings(
    settings: Mapping[str, str], shown: Collection[str] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters of a run, and tags that hold its other settings. `shown`: None for all."""
    if shown is None:
        return dict(settings), {}
    params = {name: value for name, value in settings.items() if name in shown}
    rest = {name: value for name, value in settings.items() if name not in shown}
    if not rest:
        return params, {}
    text = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    pieces = [text[start : start + _TAG_LENGTH] for start in range(0, len(text), _TAG_LENGTH)]
    return params, {_settings_tag(number): piece for number, piece in enumerate(pieces, start=1)}


def all_settings(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """The settings of a run: its parameters in MLflow, and what its tags hold.

    A tag that cannot be read gives nothing; a check finds that it was changed.
    """
    pieces: list[str] = []
    while (piece := tags.get(_settings_tag(len(pieces) + 1))) is not None:
        pieces.append(piece)
    try:
        rest = json.loads("".join(pieces) or "{}")
    except ValueError:
        rest = {}
    known = {str(k): str(v) for k, v in rest.items()} if isinstance(rest, dict) else {}
    return {**known, **{k: v for k, v in params.items() if k != CONFIGURATION}}


def _settings_tag(number: int) -> str:
    return SETTINGS_TAG if number == 1 else f"{SETTINGS_TAG}.{number}"
