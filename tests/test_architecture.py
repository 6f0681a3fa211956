"""Imports point one way, and heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for folder in ("mcalc", "hydra_plugins")
    for file in (ROOT / folder).rglob("*.py")
}


def imports(module: str) -> set[str]:
    """Everything a module imports anywhere in its text, late imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def reach(module: str) -> set[str]:
    """What a module imports, directly or through other modules of ours."""
    seen: set[str] = set()
    queue = [module]
    while queue:
        for name in imports(queue.pop()):
            if name not in seen:
                seen.add(name)
                if name in MODULES:
                    queue.append(name)
    return seen


def inside(module: str, *rooms: str) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


PURE = [
    module
    for module in MODULES
    if inside(module, "mcalc.data", "mcalc.models", "mcalc.metrics", "mcalc.baselines")
    # the check command is a door: it composes its settings as every door does
    and module not in ("mcalc.data.__main__", "mcalc.data.check")
]


@pytest.mark.parametrize("module", PURE)
def test_data_models_and_metrics_know_no_framework_even_indirectly(module: str) -> None:
    assert not tops(reach(module)) & {"hydra", "omegaconf", "mlflow", "optuna"}


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("mlflow", ("mcalc.tracking",)),
        ("optuna", ("mcalc.sweep",)),
        ("omegaconf", ("mcalc.compose", "hydra_plugins")),
        ("albumentations", ("mcalc.data.augment",)),
        ("pydicom", ("mcalc.data",)),
    ],
)
def test_a_library_stays_in_its_room(library: str, rooms: tuple[str, ...]) -> None:
    users = {module for module in MODULES if library in tops(imports(module))}
    assert users, "the rule would hold of nothing"
    assert {module for module in users if not inside(module, *rooms)} == set()


LAYERS: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    # (rooms, rooms that they may not know)
    (
        ("mcalc.config", "mcalc.errors", "mcalc.results", "mcalc.metrics"),
        ("mcalc.data", "mcalc.models", "mcalc.run", "mcalc.train", "mcalc.sweep", "mcalc.report"),
    ),
    (("mcalc.data",), ("mcalc.models", "mcalc.run", "mcalc.train", "mcalc.sweep", "mcalc.report")),
    (("mcalc.models",), ("mcalc.data", "mcalc.run", "mcalc.train", "mcalc.sweep", "mcalc.report")),
    (("mcalc.run", "mcalc.trajectory", "mcalc.recording"), ("mcalc.sweep", "mcalc.report")),
    (("mcalc.report",), ("mcalc.run", "mcalc.train", "mcalc.sweep", "mcalc.models")),
]


@pytest.mark.parametrize(("rooms", "forbidden"), LAYERS, ids=lambda rooms: "+".join(rooms))
def test_imports_point_one_way(rooms: tuple[str, ...], forbidden: tuple[str, ...]) -> None:
    members = [module for module in MODULES if inside(module, *rooms)]
    assert members
    for module in members:
        assert {name for name in reach(module) if inside(name, *forbidden)} == set(), module


def test_there_is_no_room_for_odds_and_ends() -> None:
    assert not {module.split(".")[-1] for module in MODULES} & {"utils", "helpers", "misc"}
