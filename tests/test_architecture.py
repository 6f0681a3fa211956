"""Imports point one way, heavy libraries stay in their packages, every package has a rule."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for folder in ("mcalc", "hydra_plugins")
    for file in (ROOT / folder).rglob("*.py")
}
"""Modules and packages by their dotted names."""
PACKAGES = sorted(name for name, file in FILES.items() if file.name == "__init__.py")
LONGEST = 400
"""Lines that a module may have."""

BASE = (
    "mcalc.errors",
    "mcalc.allocator",
    "mcalc.atomic_write",
    "mcalc.connections",
    "mcalc.console",
    "mcalc.csv_cells",
    "mcalc.csv_lines",
    "mcalc.csv_table",
    "mcalc.disk_usage",
    "mcalc.file_digest",
    "mcalc.importing",
    "mcalc.iteration",
    "mcalc.leaving",
    "mcalc.line_breaks",
    "mcalc.local_port",
    "mcalc.logs",
    "mcalc.network_files",
    "mcalc.plain_file",
    "mcalc.plugins",
    "mcalc.preemption",
    "mcalc.results",
    "mcalc.retry",
    "mcalc.secret_text",
    "mcalc.shipped",
    "mcalc.sqlite_file",
    "mcalc.sqlite_template",
    "mcalc.user_cache",
    "mcalc.yaml_file",
)
"""Single modules that know nothing of trials; any part may import them."""
DATA = ("mcalc.data.records", "mcalc.data.completeness", "mcalc.data.images", "mcalc.data.splits")
RULES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BASE, ()),
    "mcalc.config": (),
    "mcalc.command_line": ("mcalc.config",),
    "mcalc.__main__": ("mcalc.config", "mcalc.command_line"),
    "mcalc.data": ("mcalc.data.records", "mcalc.data.pipeline"),
    "mcalc.data.records": ("mcalc.config",),
    "mcalc.data.completeness": ("mcalc.config", "mcalc.data.records"),
    "mcalc.data.ledger": ("mcalc.data.records",),
    "mcalc.data.images": ("mcalc.config", "mcalc.data.records"),
    "mcalc.data.splits": ("mcalc.config", "mcalc.data.records"),
    "mcalc.data.sources": ("mcalc.config", "mcalc.data.records", "mcalc.data.images"),
    "mcalc.data.sources.cbis_ddsm": ("mcalc.config", "mcalc.data.sources", *DATA),
    "mcalc.data.phantom": ("mcalc.config", "mcalc.data.records", "mcalc.data.sources"),
    "mcalc.data.phantom.defects": (
        "mcalc.config", "mcalc.data.phantom", "mcalc.data.sources", *DATA,
    ),
    "mcalc.data.phantom.download": (
        "mcalc.config", "mcalc.data.records", "mcalc.data.phantom",
    ),
    "mcalc.data.phantom.source": (
        "mcalc.config", "mcalc.data.phantom", "mcalc.data.sources", *DATA,
    ),
    "mcalc.data.splits.checking": (
        "mcalc.config", "mcalc.data.records", "mcalc.data.images", "mcalc.data.sources",
    ),
    "mcalc.data.loading": ("mcalc.config", "mcalc.data.splits"),
    "mcalc.data.pipeline": ("mcalc.config", "mcalc.data.sources", *DATA),
    "mcalc.data.command": ("mcalc.config", "mcalc.data"),
    "mcalc.data.__main__": ("mcalc.command_line",),
    "mcalc.models": ("mcalc.config",),
    "mcalc.evaluation": ("mcalc.config", "mcalc.data.records", "mcalc.data.splits"),
    "mcalc.training": (
        "mcalc.config", "mcalc.data.loading", "mcalc.data.splits", "mcalc.models",
        "mcalc.evaluation",
    ),
    "mcalc.attribution": ("mcalc.config", "mcalc.models", "mcalc.evaluation"),
    "mcalc.tracking": ("mcalc.config",),
    "mcalc.trials": (
        "mcalc.config", "mcalc.data", "mcalc.models", "mcalc.evaluation", "mcalc.training",
        "mcalc.tracking",
    ),
    "mcalc.paper": ("mcalc.evaluation", "mcalc.data.sources.cbis_ddsm"),
    "mcalc.paper.command": ("mcalc.config", "mcalc.data.sources.cbis_ddsm", "mcalc.report"),
    "mcalc.paper.__main__": ("mcalc.command_line",),
    "mcalc.report": (
        "mcalc.attribution", "mcalc.command_line", "mcalc.config",
        "mcalc.data.sources.cbis_ddsm", "mcalc.evaluation", "mcalc.models", "mcalc.paper",
        "mcalc.tracking",
    ),
    "mcalc.report.package": (
        "mcalc.config", "mcalc.evaluation", "mcalc.report", "mcalc.tracking",
    ),
    "mcalc.report.package.recomputing": (),
    "mcalc.report.writing": (
        "mcalc.config", "mcalc.data.sources.cbis_ddsm", "mcalc.evaluation", "mcalc.paper",
        "mcalc.report", "mcalc.report.package", "mcalc.tracking",
    ),
    "mcalc.report.command": ("mcalc.config", "mcalc.report.writing", "mcalc.tracking"),
    "mcalc.predict": (
        "mcalc.attribution", "mcalc.command_line", "mcalc.config", "mcalc.data",
        "mcalc.evaluation", "mcalc.models", "mcalc.report", "mcalc.tracking", "mcalc.training",
        "mcalc.trials",
    ),
    "mcalc.serving": (
        "mcalc.config", "mcalc.evaluation", "mcalc.predict", "mcalc.tracking",
    ),
    "mcalc.export": (
        "mcalc.command_line", "mcalc.config", "mcalc.data.splits", "mcalc.evaluation",
        "mcalc.models", "mcalc.predict", "mcalc.serving", "mcalc.tracking",
    ),
    "mcalc.sweep.planning": ("mcalc.config", "mcalc.models"),
    "mcalc.sweep.store": ("mcalc.config", "mcalc.sweep.planning"),
    "mcalc.sweep.display": (
        "mcalc.config", "mcalc.data", "mcalc.models", "mcalc.training", "mcalc.trials",
        "mcalc.tracking", "mcalc.sweep.planning", "mcalc.sweep.store",
    ),
    "mcalc.sweep.worker": (
        "mcalc.config", "mcalc.data", "mcalc.models", "mcalc.training", "mcalc.trials",
        "mcalc.tracking", "mcalc.sweep.planning", "mcalc.sweep.store",
    ),
    "mcalc.sweep.checking": (
        "mcalc.config", "mcalc.evaluation", "mcalc.tracking", "mcalc.trials", "mcalc.sweep.store",
        "mcalc.sweep.worker",
    ),
    "mcalc.sweep.actions": (
        "mcalc.config", "mcalc.data", "mcalc.tracking", "mcalc.training", "mcalc.trials",
        "mcalc.sweep.checking", "mcalc.sweep.display", "mcalc.sweep.store", "mcalc.sweep.worker",
    ),
    "mcalc.sweep": (
        "mcalc.command_line", "mcalc.config", "mcalc.data", "mcalc.evaluation", "mcalc.training",
        "mcalc.trials", "mcalc.tracking",
    ),
    "mcalc.runs": (
        "mcalc.config", "mcalc.evaluation", "mcalc.predict", "mcalc.tracking", "mcalc.trials",
    ),
    "mcalc.train": (
        "mcalc.command_line", "mcalc.config", "mcalc.sweep.planning", "mcalc.trials",
    ),
    "mcalc.weights": ("mcalc.command_line", "mcalc.config", "mcalc.models"),
    "hydra_plugins.mcalc_conf_folder": ("mcalc.config",),
    "hydra_plugins.mcalc_ray_launcher": (),
    "hydra_plugins.mcalc_sweeper": ("mcalc.config", "mcalc.sweep", "mcalc.training"),
}  # fmt: skip
"""A part of the project -> the parts that it may import, beside itself and `BASE`.

A name stands for all that lies inside it; a module follows the rule of the innermost part.
"""


@cache
def handed_on(package: str) -> dict[str, str]:
    """The names that a package hands on, with the modules they come from."""
    stub = FILES[package].with_suffix(".pyi")
    text = (stub if stub.is_file() else FILES[package]).read_text()
    return {
        alias.name: f"{package}.{str(node.module).removeprefix(f'{package}.')}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def imports(module: str) -> frozenset[str]:
    """Everything a module imports anywhere in its text, late imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in FILES:
                    found.add(full)
                elif node.module in PACKAGES and alias.name in handed_on(node.module):
                    found.add(handed_on(node.module)[alias.name])
                else:
                    found.add(node.module)
    return frozenset(found)


def reach(module: str) -> set[str]:
    """What a module imports, directly or through other modules of ours."""
    seen: set[str] = set()
    queue = [module]
    while queue:
        for name in imports(queue.pop()):
            if name not in seen:
                seen.add(name)
                if name in FILES:
                    queue.append(name)
    return seen


def inside(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def tops(names: set[str] | frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def part_of(module: str) -> str:
    """The part of the project whose rule is a module's: the innermost."""
    return max((part for part in RULES if inside(module, part)), key=len, default="")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_rule(package: str) -> None:
    assert package in ("mcalc", *RULES), "give it a line in RULES and in CONTRIBUTING.md"


@pytest.mark.parametrize("module", sorted(FILES.keys() - set(PACKAGES)))
def test_a_module_imports_only_what_its_part_may(module: str) -> None:
    part = part_of(module)
    assert part, "no rule names it: add one to RULES and a line to CONTRIBUTING.md"
    ours = {name for name in imports(module) if name in FILES and name != "mcalc"}
    parts = {part_of(name) for name in ours} - {part}
    allowed = (*RULES[part], *BASE)
    assert {other for other in parts if not inside(other, part, *allowed)} == set()


def test_no_part_imports_one_that_imports_it_back() -> None:
    graph = {
        part: {
            part_of(name)
            for module in FILES
            if part_of(module) == part
            for name in imports(module)
            if name in FILES and name != "mcalc"
        }
        - {part}
        for part in RULES
    }
    done: set[str] = set()
    while ready := {part for part in graph if part not in done and graph[part] <= done}:
        done |= ready
    assert {part: graph[part] - done for part in graph.keys() - done} == {}


def test_the_map_in_contributing_lists_every_part() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## How the code is laid out")[1].split("\n## ")[0]
    listed = set(re.findall(r"`([\w/]+(?:\.py)?)/?`", section))
    names = {entry.removesuffix(".py").rstrip("/").replace("/", ".") for entry in listed}
    assert set(RULES) - names == set(), "parts that the map lacks"
    assert {name for name in names if name.startswith("mcalc.")} - set(FILES) == set()


PURE = [m for m in FILES if inside(m, "mcalc.data", "mcalc.models", "mcalc.evaluation")]
COMMANDS = ("mcalc.data.__main__", "mcalc.data.command")
"""What composes settings, as every command does."""


@pytest.mark.parametrize("module", sorted(set(PURE) - set(COMMANDS)))
def test_data_models_and_evaluation_reach_no_framework(module: str) -> None:
    assert not tops(reach(module)) & {"hydra", "omegaconf", "mlflow", "optuna"}


@pytest.mark.parametrize(
    ("library", "packages"),
    [
        ("mlflow", ("mcalc.tracking", "mcalc.serving")),
        ("optuna", ("mcalc.sweep",)),
        ("omegaconf", ("mcalc.config.compose", "hydra_plugins")),
        ("albumentations", ("mcalc.data.loading",)),
        ("captum", ("mcalc.attribution",)),
        ("pydicom", ("mcalc.data", "mcalc.predict.dicom_output")),
        ("highdicom", ("mcalc.predict.dicom_output",)),
        ("onnx", ("mcalc.models",)),
        ("google", ("mcalc.models",)),
    ],
)
def test_a_library_stays_in_its_package(library: str, packages: tuple[str, ...]) -> None:
    users = {module for module in FILES if library in tops(imports(module))}
    assert users, "the rule would hold of nothing"
    assert {module for module in users if not inside(module, *packages)} == set()


HEAVY = ("torch", "pytorch_lightning", "mlflow", "optuna", "cv2", "pandas", "sklearn", "hydra")


def test_importing_a_package_imports_nothing_heavy() -> None:
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1].split(','):\n"
        "    importlib.import_module(name)\n"
        f"    heavy = [h for h in {HEAVY} if h in sys.modules]\n"
        "    assert not heavy, (name, heavy)\n"
    )
    packages = ",".join(name for name in PACKAGES if name.startswith("mcalc"))
    subprocess.run([sys.executable, "-c", program, packages], cwd=ROOT, check=True)


OF_TRAINING = (
    "torch", "pytorch_lightning", "torchvision", "albumentations", "sklearn", "scipy.stats",
)  # fmt: skip
OF_STORES = ("mlflow", "optuna", "pandas", "sqlalchemy")
OF_IMAGES = ("numpy", "pydicom", "PIL", "imagecodecs", "cv2")


@pytest.mark.parametrize(
    ("module", "later"),
    [
        ("mcalc.trials.single", (*OF_TRAINING, *OF_STORES, *OF_IMAGES)),
        ("mcalc.sweep.start", (*OF_TRAINING, *OF_STORES, *OF_IMAGES)),
        ("mcalc.data.sources.cbis_ddsm.index", OF_IMAGES),
        ("mcalc.data.sources.cmmd", OF_IMAGES),
        ("mcalc.data.sources.folder", OF_IMAGES),
        ("mcalc.trials.places", (*OF_STORES, "filelock")),
        ("mcalc.report.command", OF_STORES),
        ("mcalc.predict.command", (*OF_STORES, *OF_TRAINING)),
        ("mcalc.export", (*OF_STORES, *OF_TRAINING)),
        ("mcalc.sweep.opening", (*OF_TRAINING, "mlflow", "pandas")),
        ("mcalc.sweep.engine", OF_TRAINING),
        ("hydra_plugins.mcalc_sweeper", OF_TRAINING),
        ("mcalc.data.phantom.source", (*OF_TRAINING, *OF_STORES, "cv2")),
    ],
)
def test_what_takes_seconds_to_import_is_imported_when_it_is_needed(
    module: str, later: tuple[str, ...]
) -> None:
    """So that a mistake, a plan and a finished sweep are answered at once."""
    program = f"import sys, {module}\nprint(*({{*{later}}} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []


def test_the_config_package_does_not_hand_on_composing() -> None:
    assert "mcalc.config.compose" not in handed_on("mcalc.config").values()


@pytest.mark.parametrize("package", [name for name in PACKAGES if name.startswith("mcalc.")])
def test_a_package_says_what_is_inside(package: str) -> None:
    said = ast.get_docstring(ast.parse(FILES[package].read_text()))
    assert said
    assert len(said.splitlines()[0]) > 20


def test_no_package_is_for_odds_and_ends() -> None:
    assert not {module.split(".")[-1] for module in FILES} & {"utils", "helpers", "misc", "common"}


@pytest.mark.parametrize("module", sorted(FILES))
def test_no_module_is_longer_than_it_may_be(module: str) -> None:
    assert len(FILES[module].read_text().splitlines()) <= LONGEST


def test_tests_mirror_the_packages() -> None:
    """A test module lies in the folder of the package that it tests."""
    folders = {Path(*package.split(".")[1:]) for package in PACKAGES if package.startswith("mcalc")}
    names = ("recipes", "records", "launchers", "commands", "fuzz", "durability")
    others = {Path(name) for name in names}
    for file in (ROOT / "tests").rglob("test_*.py"):
        assert file.parent.relative_to(ROOT / "tests") in folders | others, file


def test_data_has_at_most_a_dozen_entries() -> None:
    entries = [e for e in (ROOT / "mcalc" / "data").iterdir() if e.name != "__pycache__"]
    assert len(entries) <= 12
