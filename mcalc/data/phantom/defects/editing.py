"""Changes of files that are written already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

_HUGE_WIDTH = 32_768
"""Rows and columns that a file claims: over a billion pixels."""


@contextmanager
def editing(file: Path) -> Iterator[Dataset]:
    """A DICOM file's data set, written back at the end of the block."""
    data = pydicom.dcmread(file)
    yield data
    data.save_as(file, enforce_file_format=True)
    sync(file)


def set_pixels(data: Dataset, pixels: npt.NDArray[np.unsignedinteger]) -> None:
    """Pixels (rows, columns) of the depth that the data set has already."""
    data.Rows, data.Columns = pixels.shape
    data.SmallestImagePixelValue = int(pixels.min())
    data.LargestImagePixelValue = int(pixels.max())
    raw = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OW"


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


def sync(file: Path) -> None:
    """Force a file to disk."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
