"""Imports of many large modules, without looks for garbage in between.

PyTorch, Lightning and MLflow define a million objects, nearly all of which stay. Python would look
through them again and again for cycles that nobody uses: a sixth of the time of their import.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_MANY = 300
"""Modules that make an import a large one."""


@contextmanager
def large_imports() -> Iterator[None]:
    """While inside, no garbage is looked for; what large imports made is passed over later too.

    A whole collection after each training run would go through it: a quarter of a second.

    Where all is imported already, as in every call but the first, nothing changes.
    """
    collects, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) - before >= _MANY:
            gc.freeze()
            _give_back_at_exit()
        if collects:
            gc.enable()


@cache
def _give_back_at_exit() -> None:
    # else extension modules take what is left at the end for leaks, and print so
    atexit.register(gc.unfreeze)
