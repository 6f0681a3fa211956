"""A trial's identity: a hash of what changes its numbers, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mcalc.config.schema import Config, flatten

NUMERICS_VERSION = 2
"""Raised when a change of the code changes the numbers that a trial gives."""

NOT_NUMERIC = (
    # names and places
    "name",
    "sweep",
    "dry_run",
    "rerun",
    "retries",
    "trials_per_gpu",
    "storage",
    "storage_wait",
    "budget.",
    "job.",
    "tracking.",
    "data.cache",
    # what these select is in the data's fingerprint
    "data.root",
    "data.csv_dir",
    "data.csv_split",
    "data.min_completeness",
    "data.source",
    "data.labels",
    "data.phantom.",
    # augmentation is drawn by image and epoch, whoever draws it
    "trainer.workers",
)
"""Keys, and sections with a final dot, that leave a trial's numbers as they are."""


def digest(value: Any, length: int = 16) -> str:
    """Hex SHA-256 of a value's canonical JSON, shortened to `length` characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


_PATIENCE = "stopping.patience"
"""Where a trial stops on its training run; all else makes the run."""


@cache
def is_numeric(key: str) -> bool:
    """Whether a setting changes a trial's numbers."""
    return not _named(key, NOT_NUMERIC)


def _named(key: str, names: Collection[str]) -> bool:
    """Whether a key is one of the names, or in a section that ends one of them with a dot."""
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in names)


def numeric_settings(config: Config, without: Collection[str] = ()) -> dict[str, Any]:
    """The settings that change a trial's numbers, less the keys (or sections) named in `without`.

    A file of weights or of a split counts by its content, not by its path.
    """
    settings = {
        key: value
        for key, value in flatten(config).items()
        if is_numeric(key) and not _named(key, without)
    }
    for key, path in _files_of(config).items():
        if key in settings:
            settings[key] = _file_digest(path)
    return settings


def trial_key(config: Config, fingerprint: str) -> str:
    """Identity of a trial on data with this fingerprint."""
    return keys_of(numeric_settings(config), fingerprint)[0]


def trajectory_key(config: Config, fingerprint: str) -> str:
    """Identity of a training run: trials that differ in patience alone share it."""
    return keys_of(numeric_settings(config), fingerprint)[1]


def keys_of(settings: Mapping[str, Any], fingerprint: str) -> tuple[str, str]:
    """Identity of the trial with these numeric settings, and of its training run."""
    shared = {key: value for key, value in settings.items() if key != _PATIENCE}
    trajectory = digest([NUMERICS_VERSION, fingerprint, shared])
    return digest([trajectory, settings[_PATIENCE]]), trajectory


def _files_of(config: Config) -> dict[str, str]:
    """Settings that name a file which is there, and its path."""
    named = {
        "backbone.weights": config.backbone.weights,
        "protocol.split_file": config.protocol.split_file,
    }
    return {key: path for key, path in named.items() if path and Path(path).is_file()}


def _file_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
