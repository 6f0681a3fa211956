"""Backbones, data sources and metrics from other installed packages, without a fork of mcalc.

A package declares them as entry points in its own `pyproject.toml`:

    [project.entry-points."mcalc.backbones"]
    mynet = "mypackage.networks:MYNET"

The groups are `mcalc.backbones`, `mcalc.sources` and `mcalc.metrics`; what each entry point must
name is said in the module that holds the built-in entries (`mcalc.models.backbones`,
`mcalc.data.sources.registry`, `mcalc.evaluation.scores`). Built-in names cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from mcalc.errors import UserError, nearest

T = TypeVar("T")

KINDS = ("backbones", "sources", "metrics")
"""What a package can add: entry-point groups `mcalc.<kind>`."""


@dataclass(frozen=True)
class Plugin:
    """One entry of another package; nothing of the package is imported before `load`."""

    name: str
    package: str
    """Name of the distribution, as `pip list` shows it."""
    version: str
    entry_point: EntryPoint

    def load(self) -> Any:
        """Import the entry. Raises UserError, naming the package, where that fails."""
        try:
            return self.entry_point.load()
        except Exception as error:
            raise UserError(
                f"{self.name!r} of the installed package {self.package} {self.version} cannot be "
                f"loaded ({type(error).__name__}: {error}): expected {self.entry_point.value} to "
                "name an object; fix or remove the package"
            ) from error


@cache
def installed(kind: str) -> Mapping[str, Plugin]:
    """The plug-ins of a kind by name.

    Raises UserError where two packages give the same name.
    """
    found: dict[str, Plugin] = {}
    for point in entry_points(group=f"mcalc.{kind}"):
        assert point.dist is not None  # entry_points() reads them from distributions
        plugin = Plugin(point.name, point.dist.name, point.dist.version, point)
        other = found.setdefault(point.name, plugin)
        if other.package != plugin.package:
            raise UserError(
                f"the installed packages {other.package} and {plugin.package} both give the "
                f"{kind.removesuffix('s')} {point.name!r}: remove one of them"
            )
    return found


def find(kind: str, name: str, built_in: Mapping[str, T | str], expected: type[T], key: str) -> T:
    """The entry `name` of a kind: a built-in one, or an installed package's.

    Args:
        kind: one of `KINDS`.
        name: what the user asked for.
        built_in: mcalc's own entries by name. Text, as `module:object`, names one that is imported
            when it is asked for.
        expected: class of every entry.
        key: the setting that names the entry, for messages.

    Raises UserError for an unknown name, with the nearest, and for a package's entry that has a
    built-in name, cannot be loaded or is of another class.
    """
    plugins = installed(kind)
    if name in built_in:
        if name in plugins:
            raise UserError(
                f"{key}={name} is built in, but the installed package {plugins[name].package} "
                "gives it too: rename that package's entry point, or remove the package"
            )
        own = built_in[name]
        return EntryPoint(name, own, f"mcalc.{kind}").load() if isinstance(own, str) else own
    if name not in plugins:
        known = sorted({*built_in, *plugins})
        raise UserError(
            f"{key}={name!r} is unknown: expected one of {', '.join(known)}{nearest(name, known)}"
        )
    entry = plugins[name].load()
    if not isinstance(entry, expected):
        raise UserError(
            f"{key}={name}: the package {plugins[name].package} gives a {type(entry).__name__}, "
            f"expected a {expected.__module__}.{expected.__qualname__}"
        )
    return entry


def versions(kind: str, names: Collection[str]) -> dict[str, str]:
    """`{"mypackage": "1.2"}`: packages behind those of the names that are plug-ins."""
    plugins = installed(kind)
    return {
        plugins[name].package: plugins[name].version for name in sorted(names) if name in plugins
    }
