"""How much is decoded at one time, so that memory stays flat however many threads there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """Admits work by the pixels it decodes; work larger than the whole budget runs alone."""

    def __init__(self, pixels: int) -> None:
        self._all = pixels
        self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels are free, and keep them for the length of the block."""
        need = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= need)
            self._free -= need
        try:
            yield
        finally:
            with self._changed:
                self._free += need
                self._changed.notify_all()
