"""Training steps measured for an estimate, kept for a week in the user's cache folder.

A measurement takes about five seconds, most of them to import PyTorch. A plan is often looked at
several times before it runs.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mcalc.atomic_write import write_text
from mcalc.config import Config
from mcalc.iteration import usable_cores
from mcalc.user_cache import user_cache

_KEPT = timedelta(days=7)


@dataclass(frozen=True)
class MeasuredStep:
    """What was measured of a network as a plan would train it."""

    seconds: float
    """Of one training step."""
    network_bytes: int
    """Bytes of the weights that a trial stores."""
    offered: bool
    """Whether a server has its ImageNet weights."""
    when: datetime
    """When it was measured, with its time zone."""
    head_seconds: float = 0.0
    """Of an iteration of the head alone, on features; 0 where a plan trains more than it."""
    alone: bool = True
    """Whether the machine was quiet. Beside others a measurement is less exact, and is not kept."""
    feature_bytes: int = 0
    """Bytes of one image's features in the cache; 0 where none are kept (`has_features`)."""


class StepFailedError(Exception):
    """A network's training step raised an error, as a package's may; the message says which."""


def has_features(config: Config) -> bool:
    """Whether what is frozen sees the same images again and again, and is computed once.

    As `mcalc.training.frozen`, without PyTorch.
    """
    freeze = config.backbone.freeze
    return freeze == "all" or (freeze != "0" and not config.augment.enabled)


def step_time(kind: tuple[str, ...], measure: Callable[[], MeasuredStep]) -> MeasuredStep:
    """A step measured on this machine within a week, with these versions; else measured now.

    What is measured on a quiet machine is kept.

    Args:
        kind: what else the time of a step depends on.
        measure: called where nothing is kept.
    """
    key = " | ".join((*kind, *_surroundings()))
    now = datetime.now().astimezone()
    kept = {name: step for name, step in _read().items() if timedelta() <= now - step.when < _KEPT}
    if key in kept:
        return kept[key]
    measured = measure()
    if measured.alone:
        _write({**kept, key: measured})
    return measured


def _surroundings() -> tuple[str, ...]:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    cores = f"{usable_cores()} cores"
    return (platform.node(), cores, threads, *(version(each) for each in ("torch", "mcalc")))


def _file() -> Path:
    return user_cache() / "steps.json"


def _read() -> dict[str, MeasuredStep]:
    """What is kept; nothing where the file is not there or not as it was written."""
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
        return {key: _step(fields) for key, fields in content.items()}
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _step(fields: Mapping[str, Any]) -> MeasuredStep:
    return MeasuredStep(
        float(fields["seconds"]),
        int(fields["network_bytes"]),
        bool(fields["offered"]),
        datetime.fromisoformat(fields["when"]).astimezone(),
        float(fields["head_seconds"]),
        feature_bytes=int(fields["feature_bytes"]),
    )


def _write(steps: Mapping[str, MeasuredStep]) -> None:
    content = {
        key: {
            "seconds": step.seconds,
            "network_bytes": step.network_bytes,
            "offered": step.offered,
            "when": step.when.isoformat(timespec="seconds"),
            "head_seconds": step.head_seconds,
            "feature_bytes": step.feature_bytes,
        }
        for key, step in steps.items()
    }
    # a user without a folder that can be written measures each time
    with suppress(OSError, RuntimeError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        with write_text(_file()) as file:
            json.dump(content, file, indent=1)
