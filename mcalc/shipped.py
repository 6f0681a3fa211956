"""Folders of YAML files that come with mcalc, `conf/` and `sweeps/`, and those of the user."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped_folder(name: str) -> Path:
    """The folder `name` of the checkout, or the copy that a wheel carries as `mcalc/_<name>`."""
    package = Path(str(files("mcalc")))
    beside = package.parent / name
    return beside if beside.is_dir() else package / f"_{name}"


def search_folders(name: str) -> list[Path]:
    """Where such files are searched: a folder `name` of the working directory, then the shipped."""
    return list(dict.fromkeys([Path(name).resolve(), shipped_folder(name).resolve()]))
