"""A file of `conf/`: its settings as their keys take them, and Hydra's header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mcalc.config.assign import settled
from mcalc.errors import UserError
from mcalc.yaml_file import numbers, parse_yaml, read_text

MOST_NODES = 10_000
"""Keys and values of one file."""
_HEADER = re.compile(r"#\s*@(\S+)\s+(\S+)\s*")


def read_conf_file(folder: str, name: str) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The content of a file and its header, `# @package _global_`.

    Args:
        folder: a folder `conf/`.
        name: relative to it, as `backbone/alexnet.yaml`.

    Raises UserError as `read_text` and `parse_yaml`, and for a file that is no mapping.
    """
    where = f"conf/{name}"
    text = read_text(Path(folder, name), where)
    content = parse_yaml(text, where, MOST_NODES)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping of keys to values")
    header = _header(text)
    package = header.get("package")
    section = name.rpartition("/")[0].replace("/", ".") if package is None else package
    return _settled("" if section == "_global_" else section, content), header


def _header(text: str) -> dict[str, str | None]:
    """What the comments before the first setting say to Hydra."""
    header: dict[str, str | None] = {}
    for line in text.splitlines():
        if found := _HEADER.fullmatch(line.strip()):
            header[found.group(1)] = found.group(2)
        elif line.strip():
            break
    return header


def _settled(section: str, content: dict[str, Any]) -> dict[str, Any]:
    """The settings of a section of the config, each as its key takes it."""
    found = {}
    for name, value in content.items():
        key = f"{section}.{name}" if section else name
        if isinstance(value, dict):
            found[name] = _settled(key, value)
        else:
            found[name] = settled(key, value) if key != "defaults" else numbers(value)
    return found
