"""docs/recipes.md followed to the letter: each step in a copy of the project, each command run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import processes
import pytest
from stores import begin_with_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
COPIED = ("mcalc", "hydra_plugins", "conf", "sweeps", "tests", "pyproject.toml")
BLOCK = re.compile(r"(?P<before>[^\n]*):\n\n```(?P<kind>\w+)\n(?P<body>.*?)```\n", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A code block of the page and the line above it, which says what to do with it."""

    instruction: str
    kind: str
    body: str


def sections() -> dict[str, list[Step]]:
    """The steps of each recipe by its heading."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        title = section.split("\n", 1)[0]
        steps = [Step(m["before"], m["kind"], m["body"]) for m in BLOCK.finditer(section)]
        if any(step.kind == "bash" for step in steps):
            found[title] = steps
    return found


SECTIONS = sections()


def follow(step: Step, folder: Path) -> Iterator[list[str]]:
    """Do what a step says in a copy of the project; the commands of one are given back to run."""
    if step.kind == "bash":
        yield from (shlex.split(line) for line in step.body.splitlines() if line)
    elif new := re.fullmatch(r"New file `(.+)`", step.instruction):
        file = folder / new[1]
        assert not file.exists(), "the recipe would overwrite a file of the project"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step.body)
    elif edit := re.fullmatch(r"In `(.+)`, (.+)", step.instruction):
        file = folder / edit[1]
        file.write_text(inserted(file.read_text(), edit[2].replace("`", ""), step.body))
    else:
        raise AssertionError(f"not understood: {step.instruction}")


def inserted(text: str, place: str, body: str) -> str:
    """A module's text with a block at the place that an instruction names."""
    if place == "with the imports":
        at = re.search(r"^from mcalc", text, re.MULTILINE)
    elif before := re.fullmatch(r"before (.+)", place):
        at = re.search(rf"^{re.escape(before[1])}$", text, re.MULTILINE)
    else:
        name = place.removeprefix("at the end of ")
        # a class ends before a check of its own or the next top-level line, a collection at its
        # closing bracket
        opening = re.search(rf"^(class )?{name}\b.*", text, re.MULTILINE)
        assert opening, place
        end = r"^    def |^(?=[^\s])" if opening[1] else r"^[)\]}]"
        at = re.compile(end, re.MULTILINE).search(text, opening.end() + 1)
    assert at, place
    return text[: at.start()] + body + text[at.start() :]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's own files, elsewhere."""
    folder = tmp_path / "project"
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def run(command: list[str], folder: Path) -> str:
    """What a command of the page prints; it has to end well."""
    begin_with_tables(folder / "mlruns")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    if command[:2] == ["python", "-m"] and command[2] != "pytest":
        done = processes.run(*command[2:], folder=folder, environment=environment)
    else:
        done = subprocess.run(
            [sys.executable, *command[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.whole
@pytest.mark.parametrize("title", SECTIONS)
def test_a_recipe_followed_to_the_letter_works(title: str, copy: Path) -> None:
    printed = [run(command, copy) for step in SECTIONS[title] for command in follow(step, copy)]
    assert printed, "the recipe has nothing to try"
    last = printed[-1]
    expected = {
        "A backbone": "accuracy",
        "A data source": "accuracy",
        "An augmentation": "accuracy",
        "A metric": "Brier",
        "A sweep": "2 of 2 done",
    }
    assert expected[title] in last, last


def test_every_kind_of_part_has_a_recipe() -> None:
    assert set(SECTIONS) == {
        "A backbone", "A data source", "An augmentation", "A metric", "A sweep",
    }  # fmt: skip
