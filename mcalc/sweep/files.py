"""Sweep files: `sweeps/NAME.yaml`, checked against a schema when read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcalc.compose import GROUPS
from mcalc.config import key_paths
from mcalc.errors import UserError, nearest

_PACKAGE = Path(__file__).parents[1]
_BESIDE = _PACKAGE.parent / "sweeps"
SHIPPED = _BESIDE if _BESIDE.is_dir() else _PACKAGE / "_sweeps"
"""`sweeps/` of the checkout, or the copy that a wheel carries."""

_KEYS = {"name", "description", "overrides", "rows"}


@dataclass(frozen=True)
class SweepFile:
    """A named set of explicit trials."""

    name: str
    description: str
    overrides: tuple[str, ...]
    """What every row shares, as on the command line."""
    rows: dict[str, tuple[str, ...]]
    """By trial name, the overrides that make the row."""


def folders() -> list[Path]:
    """Where sweep files are looked for: `sweeps/` of the working folder, then the shipped ones."""
    return list(dict.fromkeys([Path("sweeps").resolve(), SHIPPED.resolve()]))


def available() -> dict[str, Path]:
    """Sweep files by name; the working folder's come before the shipped."""
    found: dict[str, Path] = {}
    for folder in folders():
        for file in sorted(folder.glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


def load(name: str) -> SweepFile:
    """Read a sweep file by its name.

    Raises UserError: no such file (with the nearest name), not YAML, an unknown or missing key, a
    row that sets an unknown key or nothing, no rows.
    """
    files = available()
    if name not in files:
        raise UserError(
            f"sweep={name}: no such sweep{nearest(name, files)} (there are "
            f"{', '.join(sorted(files)) or 'none'}; a sweep is a file of sweeps/)"
        )
    path = files[name]
    where = f"sweeps/{path.name}"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{where} must be a mapping with the keys {', '.join(sorted(_KEYS))}")
    for key in content:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key {key!r}{nearest(str(key), _KEYS)}")
    rows = content.get("rows")
    if not isinstance(rows, dict) or not rows:
        raise UserError(f"{where}: `rows` must name at least one trial, as in AL1: {{seed: 1}}")
    overrides = content.get("overrides") or []
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        raise UserError(f"{where}: `overrides` must be a list of key=value, as in backbone=alexnet")
    return SweepFile(
        name=name,
        description=str(content.get("description", "")),
        overrides=tuple(overrides),
        rows={str(row): _row(where, str(row), values) for row, values in rows.items()},
    )


def _row(where: str, row: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, dict) or not values:
        raise UserError(f"{where}: row {row} must be a mapping of keys to values")
    valid = set(key_paths()) | set(GROUPS)
    for key in values:
        if key not in valid:
            raise UserError(f"{where}: row {row} sets an unknown key {key!r}{nearest(key, valid)}")
    return tuple(f"{key}={override_value(value)}" for key, value in values.items())


def override_value(value: Any) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
