"""Settings to be shown to others: nothing that names a place of the machine they were used on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_PLACES = {
    "data": ("root", "csv_dir", "labels", "cache"),
    "tracking": ("dir", "uri"),
    "": ("storage",),
}
"""Settings that name places, by section."""
_FILES = ("backbone.weights", "protocol.split_file")
"""Settings that may be a path; the name of its file is kept."""


def without_places(text: str) -> str:
    """The text of a config.yaml without places."""
    settings: dict[str, Any] = yaml.safe_load(text)
    for section, names in _PLACES.items():
        part = settings.get(section, {}) if section else settings
        for name in names:
            if part.get(name) is not None:
                part[name] = None
    for key in _FILES:
        section, _, name = key.partition(".")
        value = settings.get(section, {}).get(name)
        if isinstance(value, str):
            settings[section][name] = Path(value).name
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def params_without_places(params: Mapping[str, str]) -> dict[str, str]:
    """A trial's settings, `{"head.weight_lr": "10.0", ...}`, without places."""
    places = {f"{top}.{name}".lstrip(".") for top, names in _PLACES.items() for name in names}
    kept = {key: value for key, value in params.items() if key not in places}
    return kept | {key: Path(kept[key]).name for key in _FILES if key in kept}


def named_paths(params: Mapping[str, str]) -> dict[str, str]:
    """Paths that a trial's settings name -> the names of their files."""
    given = [params[key] for key in _FILES if key in params]
    return {path: Path(path).name for path in given if Path(path).name != path}
