"""Prepared images as one .npy file, written from several threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mcalc.data.images.resize import Grey8


class ImageWriter:
    """An .npy file of `count` grey squares, uint8, shape (count, width, width).

    Not memory-mapped, as pages written to count as this process's memory until they are on disk.
    """

    def __init__(self, path: Path, count: int, width: int) -> None:
        self.width = width
        self._path = path
        self._file = path.open("wb")
        self._lock = threading.Lock()
        self._start = _write_header(self._file, count, width)
        self._count = count

    def write(self, row: int, image: Grey8) -> None:
        """Write one image, (width, width), at its place; from any thread."""
        with self._lock:
            self._file.seek(self._start + row * self.width**2)
            self._file.write(np.ascontiguousarray(image).data)

    def close(self, kept: Sequence[int]) -> None:
        """End the file with the images of the rows `kept` alone, in their order."""
        self._file.close()
        if len(kept) == self._count:
            return
        compact = self._path.with_suffix(".compact")
        with self._path.open("rb") as old, compact.open("wb") as new:
            _write_header(new, len(kept), self.width)
            for row in kept:
                old.seek(self._start + row * self.width**2)
                new.write(old.read(self.width**2))
        compact.replace(self._path)


def _write_header(file: BinaryIO, count: int, width: int) -> int:
    """Write the header; return the position of the first pixel."""
    shape = (count, width, width)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return int(file.tell())
