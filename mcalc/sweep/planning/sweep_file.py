"""Sweep files: `sweeps/NAME.yaml`, checked against a schema when read.

A file holds one of three: `rows` (explicit trials), `grid` (the product of lists) or `space` (a
search, with sampler, pruner, objective and budget); any of them times `seeds`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mcalc.config import convert, key_paths
from mcalc.config.compose import GROUPS
from mcalc.config.swept import check_count
from mcalc.errors import UserError, nearest, shown
from mcalc.shipped import search_folders
from mcalc.sweep.planning.launcher_choice import refuse_hydra, split_launcher
from mcalc.sweep.planning.search_space import Search, parse_search
from mcalc.sweep.planning.values import format_value, settle
from mcalc.yaml_file import numbers, read_yaml

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
Lists = Mapping[str, list[Any]]
"""`{"head.weight_lr": [1, 10], "backbone": ["alexnet"]}`: what is multiplied."""


@dataclass(frozen=True)
class SweepFile:
    """A named set of trials, or a search for them."""

    name: str
    description: str
    overrides: tuple[str, ...]
    """What every trial shares, as on the command line."""
    launcher: tuple[str, ...] = ()
    """What chooses the launcher, and its options; settings of no trial."""
    explicit: dict[str, Values] = field(default_factory=dict)
    """By trial name, what sets the trial apart."""
    grid: Lists = field(default_factory=dict)
    """In place of `explicit`: the lists whose product is the trials."""
    search: Search | None = None
    seeds: tuple[int, ...] = ()
    """Each trial is run with each; empty leaves the seed as it is."""

    @cached_property
    def rows(self) -> dict[str, Values]:
        """By trial name, what sets the trial apart, without seeds; empty for a search."""
        return product(self.grid) if self.grid else self.explicit

    @property
    def varied(self) -> set[str]:
        """The keys that rows or the grid set."""
        return {*self.grid, *(key for row in self.explicit.values() for key in row)}

    def times(self, lists: Lists) -> int:
        """How many trials there are of every row with every combination of lists and seeds."""
        rows = count(self.grid) if self.grid else len(self.explicit)
        return rows * count(lists) * max(1, len(self.seeds))


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


def find(name: str) -> Path:
    """The sweep file of this name, unread. Raises UserError, with the nearest name, for none."""
    files = available()
    if name in files:
        return files[name]
    for other in (folder / f"{name}.yml" for folder in folders()):
        if other.is_file():
            raise UserError(f"sweep={name}: {other} is not read: rename it to {name}.yaml")
    raise UserError(
        f"sweep={name}: no such sweep{nearest(name, files)} (there are "
        f"{', '.join(sorted(files)) or 'none'}; a sweep is a file of sweeps/)"
    )


def load(name: str) -> SweepFile:
    """Read a sweep file by its name.

    Raises UserError: no such file, as `find`, not YAML, an unknown or missing key, a name that is
    not the file's, a row that sets an unknown key or nothing, an empty grid or space, more than a
    million trials, a budget of nothing.
    """
    path = find(name)
    where = f"sweeps/{path.name}"
    content = _read(path, where)
    for key in content:
        if key not in _KEYS:
            refuse_hydra(where, "the file", key)
            raise UserError(f"{where}: unknown key {shown(key)}{nearest(key[:80], _KEYS)}")
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
    settings, launcher = split_launcher(where, overrides)
    keys = [item.partition("=")[0].strip() for item in overrides]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise UserError(f"{where}: `overrides` give {shown(twice)} twice: keep one")
    called = content.get("name")
    if called is not None and str(called) != name:
        raise UserError(
            f"{where}: `name` is {shown(called)}, but a sweep is known by its file's name: remove "
            "that line, and rename the file or give name=NAME with the command"
        )
    description = content.get("description")
    if isinstance(description, dict | list):
        raise UserError(f"{where}: `description` must be text")
    if kinds[0] == "space" and isinstance(content["space"], dict):
        for key in content["space"]:
            _known_key(where, "space", key)
    file = SweepFile(
        name=name,
        description=str(content.get("description") or ""),
        overrides=tuple(settings),
        launcher=tuple(launcher),
        explicit=_rows(where, content["rows"]) if "rows" in content else {},
        grid=_grid(where, content["grid"]) if "grid" in content else {},
        search=parse_search(where, content) if "space" in content else None,
        seeds=_seeds(where, numbers(content.get("seeds"))),
    )
    check_count(where, file.times({}))
    return file


def _read(path: Path, where: str) -> dict[str, Any]:
    content = read_yaml(path, where)
    if not isinstance(content, dict):
        raise UserError(f"{where} must be a mapping with the keys {', '.join(_KEYS)}")
    return content


def _rows(where: str, rows: Any) -> dict[str, Values]:
    if not isinstance(rows, dict) or not rows:
        raise UserError(f"{where}: `rows` must name at least one trial, as in AL1: {{seed: 1}}")
    return {row: _row(where, row, values) for row, values in rows.items()}


def _row(where: str, row: str, values: Any) -> Values:
    if not row.isprintable() or not row.strip():
        raise UserError(f"{where}: row {shown(row)}: a row's name must be text on one line")
    if not isinstance(values, dict) or not values:
        raise UserError(f"{where}: row {row} must be a mapping of keys to values")
    for key in values:
        _known_key(where, f"row {row}", key)
    return {key: _value(where, f"row {row}", key, value) for key, value in values.items()}


def _grid(where: str, grid: Any) -> dict[str, list[Any]]:
    if not isinstance(grid, dict) or not grid:
        raise UserError(
            f"{where}: `grid` must give at least one key a list, as in head.weight_lr: [1, 10]"
        )
    lists = {}
    for key, given in grid.items():
        _known_key(where, "grid", key)
        if not isinstance(given, list) or not given:
            raise UserError(f"{where}: the grid is empty: {key} needs a list of at least one value")
        lists[key] = values = [_value(where, "grid", key, value) for value in given]
        if len({str(value) for value in values}) < len(values):
            raise UserError(f"{where}: grid: {key} has a value twice; remove one")
    return lists


def _value(where: str, place: str, key: str, given: Any) -> Any:
    """A value as its key takes it. Raises UserError where it is not of the key's type."""
    value = settle(key, given)
    if key not in GROUPS:  # their choices are checked when a trial is planned
        try:
            convert(key, value)
        except UserError as error:
            raise UserError(f"{where}: {place}: {error}") from error
    return value


def count(lists: Lists) -> int:
    """How many combinations there are of the values of each list."""
    return math.prod(len(values) for values in lists.values())


def product(lists: Lists) -> dict[str, Values]:
    """Every combination, named `head.weight_lr=1, seed=0`."""
    rows = {}
    for combination in itertools.product(*lists.values()):
        values = dict(zip(lists, combination, strict=True))
        rows[", ".join(f"{key}={format_value(value)}" for key, value in values.items())] = values
    return rows


def _known_key(where: str, place: str, key: Any) -> None:
    refuse_hydra(where, place, key)
    valid = {*key_paths(), *GROUPS}
    if key not in valid:
        raise UserError(
            f"{where}: {place} sets an unknown key {shown(key)}{nearest(str(key)[:80], valid)}"
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
