"""Which phantom a folder holds, told without what draws one."""

from __future__ import annotations

import json
from pathlib import Path

from mcalc.atomic_write import remove_abandoned
from mcalc.config import PhantomConfig, hashed_settings
from mcalc.errors import UserError

MARKER = "phantom.json"
FORMAT_VERSION = 2
"""Raised whenever the same settings would give other bytes."""


def marker_content(settings: PhantomConfig) -> dict[str, object]:
    """What the marker of a phantom says."""
    # 1 and 1.0 are one difficulty, and must be one text.
    difficulty = float(settings.difficulty)
    return {"format_version": FORMAT_VERSION, **hashed_settings(settings), "difficulty": difficulty}


def is_written(root: Path, settings: PhantomConfig) -> bool:
    """Whether `root` holds this phantom. Drafts that killed writers left are removed.

    Raises UserError where it holds anything else.
    """
    # a link is followed, as the folder it names is written and not the link
    remove_abandoned(root.resolve(), r"\.[0-9a-f]{32}\.partial")
    if not root.exists():
        return False
    remedy = "delete that folder or name another one with data.root=PATH"
    if not root.is_dir():
        raise UserError(
            f"{root} is a file where the phantom's folder is expected: name another folder with "
            "data.root=PATH"
        )
    if not any(root.iterdir()):
        return False
    marker = root / MARKER
    if not marker.is_file():
        raise UserError(
            f"{root} holds files that are no phantom (it has no {MARKER}), and they are not "
            "overwritten: name another folder with data.root=PATH"
        )
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{marker} is not valid JSON ({error}): {remedy}") from error
    wanted = marker_content(settings)
    if found != wanted:
        raise UserError(
            f"{root} holds a phantom made with other settings ({json.dumps(found)}) than the "
            f"ones asked for ({json.dumps(wanted)}): {remedy}"
        )
    return True
