"""Every module, attribute and file that a text of the project names exists."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if name.endswith((".md", ".yaml", ".py", ".j2", ".toml", "Makefile"))
    and not name.startswith(("tests/", "CHANGELOG"))
    and (ROOT / name).is_file()
)
MODULE = re.compile(r"(?<![\w./-])(?:mcalc|hydra_plugins|benchmarks)(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(
    r"(?<![\w.])((?:mcalc|hydra_plugins|benchmarks|conf|sweeps|docs|tests)/[\w./-]*\.(?:py|md|yaml|j2))\b"
)
EXAMPLE = re.compile(r"NAME|\btoy\b|\bmynet\b|\bmyclinic\b|^sweeps/rates\.yaml")
"""Names of files and modules that a text tells the reader to write."""


@cache
def tags() -> set[str]:
    """Names of MLflow tags and entry-point groups: string constants of the code on their own."""
    found = set()
    for file in (ROOT / "mcalc").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return {word for word in found if MODULE.fullmatch(word)} | {
        f"mcalc.{kind}" for kind in ("backbones", "sources", "metrics")
    }


def exists(name: str) -> bool:
    """Whether a dotted name is a module or something that a module has."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        path = ROOT / Path(*parts[:length])
        if path.is_dir() or path.with_suffix(".py").is_file():
            if length == len(parts):
                return True
            found = importlib.import_module(module)
            for part in parts[length:]:
                if part in getattr(found, "__annotations__", {}):
                    return True
                if not hasattr(found, part):
                    return False
                found = getattr(found, part)
            return True
    return False


@pytest.mark.parametrize("file", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_text_names_exists(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    names = {
        name for name in MODULE.findall(text) if name not in tags() and not name.endswith(".py")
    }
    missing = {name for name in names if not exists(name)}
    missing |= {name for name in FILE.findall(text) if not (ROOT / name).exists()}
    assert {name for name in missing if not EXAMPLE.search(name)} == set()
