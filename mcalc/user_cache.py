"""The folder of this user's cache: what can be made again, for every project of theirs."""

from __future__ import annotations

import os
from pathlib import Path

_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""PyTorch's setting for where it keeps what `torch.compile` makes."""


def user_cache() -> Path:
    """The folder, which may not be there yet, by the XDG base directory specification.

    Raises RuntimeError where the user has no home folder.
    """
    place = os.environ.get("XDG_CACHE_HOME", "")
    # as the specification has it, a relative path is none
    cache = Path(place) if Path(place).is_absolute() else Path.home() / ".cache"
    return cache / "mcalc"


def keep_compiled_here() -> None:
    """Have PyTorch keep what it compiles in the user's cache, unless a folder is set for it.

    As it is imported, PyTorch makes that folder, by default in that of temporary files, where each
    command would leave one behind. Where none can be made here, its default stays: also on another
    machine, which has the setting from the one that started it.
    """
    try:
        place = user_cache() / "torchinductor"
    except RuntimeError:  # no home folder
        return
    given = os.environ.get(_COMPILED)
    if given not in (None, str(place)):
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        able = os.access(place, os.W_OK | os.X_OK)
    except OSError:  # a full disk, or a read-only one
        able = False
    if able:
        os.environ[_COMPILED] = str(place)
    elif given:
        del os.environ[_COMPILED]
