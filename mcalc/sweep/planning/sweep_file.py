"""Sweep files: `sweeps/NAME.yaml`, checked against a schema when read.

A file holds one of three: `rows` (explicit trials), `grid` (the product of lists) or `space` (a
search, with sampler, pruner, objective and budget); any of them times `seeds`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcalc.config import key_paths
from mcalc.config.compose import GROUPS, choices
from mcalc.errors import UserError, nearest
from mcalc.shipped import search_folders
from mcalc.sweep.planning.search_space import Search, parse_search

_ALWAYS = ("name", "description", "overrides", "seeds")
_KINDS: dict[str, tuple[str, ...]] = {
    "rows": (),
    "grid": (),
    "space": ("sampler", "sampler_seed", "pruner", "objective", "budget"),
}
"""What a file may be, and the keys that go with each."""
_KEYS = (*_ALWAYS, *_KINDS, *itertools.chain(*_KINDS.values()))

Values = dict[str, Any]
"""`{"head.weight_lr": 10, "backbone": "alexnet"}`."""


@dataclass(frozen=True)
class SweepFile:
    """A named set of trials, or a search for them."""

    name: str
    description: str
    overrides: tuple[str, ...]
    """What every trial shares, as on the command line."""
    rows: dict[str, Values]
    """By trial name, what sets the trial apart; empty for a search."""
    search: Search | None = None
    seeds: tuple[int, ...] = ()
    """Each trial is run with each; empty leaves the seed as it is."""


def folders() -> list[Path]:
    """Where sweep files are looked for: `sweeps/` of the working folder, then the shipped ones."""
    return search_folders("sweeps")


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
    row that sets an unknown key or nothing, an empty grid or space, a budget of nothing.
    """
    files = available()
    if name not in files:
        raise UserError(
            f"sweep={name}: no such sweep{nearest(name, files)} (there are "
            f"{', '.join(sorted(files)) or 'none'}; a sweep is a file of sweeps/)"
        )
    where = f"sweeps/{files[name].name}"
    content = _read(files[name], where)
    for key in content:
        if key not in _KEYS:
            raise UserError(f"{where}: unknown key {key!r}{nearest(str(key), _KEYS)}")
    kinds = [kind for kind in _KINDS if kind in content]
    if len(kinds) != 1:
        raise UserError(
            f"{where}: has {' and '.join(kinds) or 'none'} of rows, grid and space: expected one, "
            "as in `rows: {A: {seed: 1}}`"
        )
    for key in content:
        if key not in (*_ALWAYS, kinds[0], *_KINDS[kinds[0]]):
            raise UserError(f"{where}: {key!r} belongs to a search (with `space`): remove it")
    overrides = content.get("overrides") or []
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        raise UserError(f"{where}: `overrides` must be a list of key=value, as in backbone=alexnet")
    if kinds[0] == "space" and isinstance(content["space"], dict):
        for key in content["space"]:
            _known_key(where, "space", key)
    return SweepFile(
        name=name,
        description=str(content.get("description", "")),
        overrides=tuple(overrides),
        rows=_grid(where, content["grid"]) if "grid" in content else _rows(where, content),
        search=parse_search(where, content) if "space" in content else None,
        seeds=_seeds(where, content.get("seeds")),
    )


def _read(path: Path, where: str) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{where} must be a mapping with the keys {', '.join(_KEYS)}")
    return content


def _rows(where: str, content: dict[Any, Any]) -> dict[str, Values]:
    if "rows" not in content:
        return {}
    rows = content["rows"]
    if not isinstance(rows, dict) or not rows:
        raise UserError(f"{where}: `rows` must name at least one trial, as in AL1: {{seed: 1}}")
    return {str(row): _row(where, str(row), values) for row, values in rows.items()}


def _row(where: str, row: str, values: Any) -> Values:
    if not isinstance(values, dict) or not values:
        raise UserError(f"{where}: row {row} must be a mapping of keys to values")
    for key in values:
        _known_key(where, f"row {row}", key)
    return {str(key): value for key, value in values.items()}


def _grid(where: str, grid: Any) -> dict[str, Values]:
    if not isinstance(grid, dict) or not grid:
        raise UserError(
            f"{where}: `grid` must give at least one key a list, as in head.weight_lr: [1, 10]"
        )
    for key, values in grid.items():
        _known_key(where, "grid", key)
        if not isinstance(values, list) or not values:
            raise UserError(f"{where}: the grid is empty: {key} needs a list of at least one value")
        if len({str(value) for value in values}) < len(values):
            raise UserError(f"{where}: grid: {key} has a value twice; remove one")
    return product({str(key): values for key, values in grid.items()})


def product(lists: dict[str, list[Any]]) -> dict[str, Values]:
    """Every combination, named `head.weight_lr=1, seed=0`."""
    rows = {}
    for combination in itertools.product(*lists.values()):
        values = dict(zip(lists, combination, strict=True))
        rows[", ".join(f"{key}={format_value(value)}" for key, value in values.items())] = values
    return rows


def format_value(value: Any) -> str:
    """A value as in a trial's name."""
    return override_value(value).strip("'")


def _known_key(where: str, place: str, key: Any) -> None:
    valid = {*key_paths(), *GROUPS}
    if key not in valid:
        raise UserError(f"{where}: {place} sets an unknown key {key!r}{nearest(str(key), valid)}")


def check_choice(key: str, value: Any) -> None:
    """Raise UserError where a group has no file of that name."""
    if key in GROUPS and value not in choices(key):
        raise UserError(
            f"{key}={value}: no such choice{nearest(str(value), choices(key))} "
            f"(there are {', '.join(choices(key))})"
        )


def _seeds(where: str, seeds: Any) -> tuple[int, ...]:
    if seeds is None:
        return ()
    whole = isinstance(seeds, list) and all(
        isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds
    )
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"{where}: `seeds` must be a list of different whole numbers, as in [0, 1]")
    return tuple(seeds)


def override_of(key: str, value: Any) -> str:
    """`key=value` in Hydra's override grammar, which takes the names of files unquoted."""
    return f"{key}={value if key in GROUPS else override_value(value)}"


def override_value(value: Any) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(override_value(each) for each in value)}]"
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
