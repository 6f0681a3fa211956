"""Changes of files that are written already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from mcalc.atomic_write import sync

_HUGE_WIDTH = 32_768
"""Rows and columns that a file claims: over a billion pixels."""


@contextmanager
def editing(file: Path) -> Iterator[Dataset]:
    """A DICOM file's data set, written back at the end of the block."""
    data = pydicom.dcmread(file)
    yield data
    data.save_as(file, enforce_file_format=True)
    sync(file)


def claim_a_billion_pixels(file: Path) -> None:
    """Write a header that no reader may believe; the pixels stay."""
    with editing(file) as data:
        data.Rows = data.Columns = _HUGE_WIDTH


def truncate(file: Path) -> None:
    """Keep three fifths: the header is whole, the pixels are not."""
    overwrite(file, file.read_bytes()[: file.stat().st_size * 3 // 5])


def overwrite(file: Path, content: bytes) -> None:
    """Put other bytes in the file's place, on disk when this returns."""
    file.write_bytes(content)
    sync(file)
