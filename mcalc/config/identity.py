"""A trial's identity: a hash of what changes its numbers, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

from mcalc.config.automatic import AUTO, AUTOMATIC
from mcalc.config.choices import ProtocolName
from mcalc.config.paths import entries, leaves
from mcalc.config.rules import UNSET
from mcalc.config.schema import Config
from mcalc.config.weight_files import is_folder_of_weights, weight_file
from mcalc.errors import UserError
from mcalc.file_digest import known_sha256
from mcalc.plugins import versions

NUMERICS_VERSION = 7
"""Raised when a change of the code changes the numbers that a trial gives."""


def digest(value: Any, length: int = 16) -> str:
    """Hex SHA-256 of a value's canonical JSON, shortened to `length` characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


_PATIENCE = "stopping.patience"
"""Where a trial stops on its training run; all else makes the run."""


def is_numeric(key: str) -> bool:
    """Whether a setting changes a trial's numbers."""
    return entries()[key].numeric


def numeric_settings(config: Config, without: Collection[str] = ()) -> dict[str, Any]:
    """The settings that change a trial's numbers, less the keys (or sections) named in `without`.

    A setting at its neutral value is omitted, as is one that is not looked at. A file of weights or
    of a split counts by its content, not by its path. Packages behind plug-ins stand with their
    versions at `plugins`.
    """
    settings = {
        leaf.key: leaf.value
        for leaf in leaves(config)
        if leaf.numeric and leaf.value != leaf.rules.neutral and not _named(leaf.key, without)
    }
    if config.backbone.freeze != "all":
        settings.pop("augment.frozen_copies", None)
    if not augments_each_epoch(config):
        settings.pop("augment.place", None)
    for key, content in contents_of(config).items():
        if key in settings:
            settings[key] = content
    if plugins := plugins_of(config, without):
        settings["plugins"] = plugins
    return settings


def settings_as_said(config: Config) -> dict[str, Any]:
    """The numeric settings of a config in which some are still `auto`, for the name of a sweep.

    `auto` of one that has a neutral value is omitted: sweeps have their names from before it. The
    path of a folder of weights is left out, as the folder may be moved. Each trial's key has the
    content of its own file.
    """
    settings = numeric_settings(config)
    weights = config.backbone.weights
    if settings.get("backbone.weights") == weights and is_folder_of_weights(weights):
        settings["backbone.weights"] = "folder/"
    return {
        key: value
        for key, value in settings.items()
        if not (key in AUTOMATIC and value == AUTO and entries()[key].rules.neutral is not UNSET)
    }


def augments_each_epoch(config: Config) -> bool:
    """Whether training draws changes anew, so that it matters where they are computed."""
    copied = config.protocol.name is ProtocolName.paper_augment_first
    return config.augment.enabled and not copied and config.backbone.freeze != "all"


def with_values(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Numeric settings after some settings changed; what is then neutral or not numeric is omitted.

    Not for the keys of `NOT_BY_VALUE`.
    """
    return {
        key: value
        for key, value in {**settings, **values}.items()
        if key not in values or (is_numeric(key) and value != entries()[key].rules.neutral)
    }


def hashed_settings(section: Any) -> dict[str, Any]:
    """What a hash over a whole section takes: `{"tiles": 8, ...}`, without neutral values."""
    return {leaf.key: leaf.value for leaf in leaves(section) if leaf.value != leaf.rules.neutral}


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], varied: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, as `{key: (before, now)}`.

    A setting that one side lacks has its neutral value there; without one it is not compared.
    `varied`: keys and groups that trials set on either side, so that their absence says nothing.
    """
    neutral = {
        key: entry.rules.neutral
        for key, entry in entries().items()
        if entry.rules.neutral is not UNSET
        and not _named(key, [*varied, *(f"{key}." for key in varied)])
    }
    sides = {**neutral, **before}, {**neutral, **now}
    return {
        key: (sides[0][key], value)
        for key, value in sides[1].items()
        if key in sides[0] and sides[0][key] != value
    }


def _named(key: str, names: Collection[str]) -> bool:
    """Whether a key is one of the names, or in a section that ends one of them with a dot."""
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in names)


def keys_of(
    settings: Mapping[str, Any], fingerprint: str, numerics: int | None = None
) -> tuple[str, str]:
    """Identity of the trial with these numeric settings, and of its training run.

    Trials that differ in patience alone share the training run. `numerics`: version of the code's
    numerics; None for this code's.
    """
    version = NUMERICS_VERSION if numerics is None else numerics
    shared = {key: value for key, value in settings.items() if key != _PATIENCE}
    trajectory = digest([version, fingerprint, shared])
    return digest([trajectory, settings[_PATIENCE]]), trajectory


NOT_BY_VALUE = (
    "augment.enabled",
    "augment.frozen_copies",
    "augment.place",
    "backbone.freeze",
    "backbone.name",
    "backbone.weights",
    "data.source",
    "metrics",
    "protocol.name",
    "protocol.split_file",
)
"""Settings that may stand in a key with a file's content or a plug-in's version, or that decide
whether another one counts."""


def plugins_of(config: Config, without: Collection[str] = ()) -> dict[str, str]:
    """Packages with their versions behind the plug-ins that a config uses."""
    named = {
        "backbone.name": ("backbones", [config.backbone.name]),
        "data.source": ("sources", [config.data.source]),
        "metrics": ("metrics", config.metrics),
    }
    found: dict[str, str] = {}
    for key, (kind, names) in named.items():
        if not _named(key, without):
            found |= versions(kind, names)
    return found


SHA256 = "sha256:"
"""Before the digest of a content."""
FILES = ("backbone.weights", "protocol.split_file")
"""Settings that may name a file, which counts by its content."""


def contents_of(config: Config) -> dict[str, str]:
    """`{"backbone.weights": "sha256:..."}`: settings that name a file which is there."""
    named = {key: attrgetter(key)(config) for key in FILES}
    with suppress(UserError):  # a folder without the weights: said where they are needed
        named["backbone.weights"] = weight_file(config.backbone.weights, config.backbone.name)
    return {
        key: f"{SHA256}{known_sha256(Path(path))}"
        for key, path in named.items()
        if path and Path(path).is_file()
    }


def identity_parts(config: Config) -> dict[str, Any]:
    """What a key takes that neither settings nor the data's fingerprint say.

    `numerics`: version of the code's numerics; `files`: contents as `contents_of`; `plugins`:
    versions as `plugins_of`.
    """
    return {
        "numerics": NUMERICS_VERSION,
        "files": contents_of(config),
        "plugins": plugins_of(config),
    }
