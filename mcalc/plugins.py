"""Backbones, data sources and metrics from other installed packages, without a fork of mcalc.

A package declares them as entry points in its own `pyproject.toml`:

    [project.entry-points."mcalc.backbones"]
    mynet = "mypackage.networks:MYNET"

The groups are `mcalc.backbones`, `mcalc.sources` and `mcalc.metrics`; what each entry point must
name is said in the module that holds the built-in entries (`mcalc.models.backbones`,
`mcalc.data.sources.registry`, `mcalc.evaluation.metrics`). Built-in names cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mcalc.errors import UserError

KINDS = ("backbones", "sources", "metrics")
"""What a package can add: entry-point groups `mcalc.<kind>`."""


@dataclass(frozen=True)
class Plugin:
    """One entry of another package; nothing of the package is imported before `load`."""

    name: str
    kind: str
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
        plugin = Plugin(point.name, kind, point.dist.name, point.dist.version, point)
        other = found.setdefault(point.name, plugin)
        if other.package != plugin.package:
            raise UserError(
                f"the installed packages {other.package} and {plugin.package} both give the "
                f"{kind.removesuffix('s')} {point.name!r}: remove one of them"
            )
    return found


def versions(kind: str, names: Collection[str]) -> dict[str, str]:
    """`{"mypackage": "1.2"}`: packages behind those of the names that are plug-ins."""
    plugins = installed(kind)
    return {
        plugins[name].package: plugins[name].version for name in sorted(names) if name in plugins
    }
