"""Files of numpy.savez: what their members declare first, and then those that are asked for."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from mcalc.models.bounded_zip import BoundedFile, DamagedFileError, open_zip, read_bytes

MOST_MEMBERS = 10_000
_HEADER = 2**14
"""Bytes in which a member's header must end; numpy itself reads headers up to 10,000 characters."""
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class DeclaredArray:
    """A member as its header declares it."""

    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    """Whether the first index runs fastest."""
    dtype: np.dtype[np.generic]
    start: int
    """Where the numbers begin, in bytes."""


class NpzFile:
    """An open file: `arrays` holds what each member declares, by its name without `.npy`."""

    def __init__(self, archive: zipfile.ZipFile, arrays: Mapping[str, DeclaredArray]) -> None:
        self.arrays = arrays
        self._archive = archive

    def tensor(self, name: str) -> Tensor:
        """Read a floating-point array as float32; a number that float32 cannot hold is infinite.

        Raises DamagedFileError where the member holds other bytes than it declares.
        """
        declared = self.arrays[name]
        with _opened(self._archive, declared.member) as stream:
            content = read_bytes(stream, declared.member.file_size)
        numbers = content.numpy()[declared.start :].view(declared.dtype)
        array = numbers.reshape(declared.shape, order="F" if declared.fortran else "C")
        with np.errstate(over="ignore"):
            return torch.from_numpy(np.ascontiguousarray(array, np.float32))


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """Open a file of numpy.savez and read the header of every member.

    Raises DamagedFileError for any other file, UserError for what is no file or may not be read.
    """
    with BoundedFile(path, str(path)) as file:
        archive, members = open_zip(file, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with archive:
            if len(members) > MOST_MEMBERS:
                raise DamagedFileError(f"it has {len(members):,} members")
            yield NpzFile(
                archive,
                {
                    name.removesuffix(".npy"): _declared(archive, member)
                    for name, member in members.items()
                },
            )


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except Exception as error:
        # a damaged header raises whatever its bytes spell
        raise DamagedFileError(" ".join(str(error).split())) from error


def _declared(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> DeclaredArray:
    name = member.filename[:80]
    if not name.endswith(".npy"):
        raise DamagedFileError(f"its member {name!r} is no array")
    with _opened(archive, member) as stream:
        head = io.BytesIO(read_bytes(stream, min(_HEADER, member.file_size)).numpy().tobytes())
        try:
            read = _READERS[npy.read_magic(head)]
            with warnings.catch_warnings():
                # of headers that Python 2 wrote
                warnings.simplefilter("ignore", UserWarning)
                shape, fortran, dtype = read(head)
        except Exception as error:
            # numpy evaluates the header as Python's literals, which fail in any way
            raise DamagedFileError(f"its member {name!r} has no header of an array") from error
    whole = all(isinstance(length, int) and 0 <= length < 2**60 for length in shape)
    if not whole or dtype.hasobject:
        raise DamagedFileError(f"its member {name!r} is no array of numbers")
    start, size = head.tell(), math.prod(shape) * dtype.itemsize
    if start + size != member.file_size:
        raise DamagedFileError(
            f"its member {name!r} declares {size:,} bytes of numbers and has "
            f"{member.file_size - start:,}"
        )
    return DeclaredArray(member, shape, fortran, dtype, start)
