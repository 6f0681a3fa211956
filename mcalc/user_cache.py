"""The folder of this user's cache: what can be made again, for every project of theirs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder, which may not be there yet, by the XDG base directory specification.

    Raises RuntimeError where the user has no home folder.
    """
    place = os.environ.get("XDG_CACHE_HOME", "")
    # as the specification has it, a relative path is none
    cache = Path(place) if Path(place).is_absolute() else Path.home() / ".cache"
    return cache / "mcalc"
