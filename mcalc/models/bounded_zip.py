"""Zip archives whose directory is checked before a member is read: what a file of weights may be.

A small archive may claim or unpack to any size. Members are read by the piece into memory whose
size the caller states, and each member's CRC-32 is compared at its end.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from mcalc.plain_file import open_plain

PIECE = 2**20
"""Bytes that are read at once."""
MOST_DIRECTORY = 4 * 2**20
"""Bytes of an archive's directory: tens of thousands of members."""


class DamagedFileError(ValueError):
    """A file is not what it should be; the text says in what."""


class OtherLayersError(DamagedFileError):
    """A file is whole, but of layers that none of the networks has."""


class BoundedFile(io.FileIO):
    """A file of which no more than `MOST_DIRECTORY` bytes are read at once."""

    def __init__(self, path: Path, where: str) -> None:
        super().__init__(open_plain(path, where))
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        """As of any file. Raises DamagedFileError for more than `MOST_DIRECTORY` bytes."""
        wanted = size if size is not None and size >= 0 else self.size - self.tell()
        if wanted > MOST_DIRECTORY:
            raise DamagedFileError(f"its directory claims {wanted:,} bytes")
        return super().read(wanted) or b""


def open_zip(
    file: BoundedFile, compressions: Collection[int]
) -> tuple[zipfile.ZipFile, Mapping[str, zipfile.ZipInfo]]:
    """An archive and its members by name; the caller closes the archive.

    Raises DamagedFileError for no archive, a member twice, in another compression than these,
    encrypted, or of a size that the file cannot hold.
    """
    try:
        archive = zipfile.ZipFile(file)
    except DamagedFileError:
        raise
    except Exception as error:
        # a damaged directory raises whatever its bytes spell: no narrower list is complete
        raise DamagedFileError("it is no zip archive, or cut off") from error
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename[:80]
        if member.filename in members:
            raise DamagedFileError(f"it has two members {name!r}")
        if member.flag_bits & 1:
            raise DamagedFileError(f"its member {name!r} is encrypted")
        if member.compress_type not in compressions:
            kind = zipfile.compressor_names.get(member.compress_type, "unknown")  # type: ignore[attr-defined]
            raise DamagedFileError(f"its member {name!r} has the compression {kind!r}")
        stored = member.compress_type == zipfile.ZIP_STORED
        if stored and member.compress_size != member.file_size:
            raise DamagedFileError(f"its member {name!r} has two sizes")
        members[member.filename] = member
    # members that overlap would hold more than the file
    if sum(member.compress_size for member in members.values()) > file.size:
        raise DamagedFileError("its members claim more bytes than it has")
    return archive, members


def read_bytes(stream: IO[bytes], size: int) -> Tensor:
    """The next `size` bytes of a stream, (size,) uint8. Raises DamagedFileError where it is short.

    A zip member's CRC-32 is compared when its last byte is read.
    """
    content = torch.empty(size, dtype=torch.uint8)
    view = content.numpy().data
    done = 0
    try:
        while done < size:
            piece = stream.read(min(PIECE, size - done))
            if not piece:
                raise DamagedFileError("it is cut off")
            view[done : done + len(piece)] = piece
            done += len(piece)
    except DamagedFileError:
        raise
    except Exception as error:  # whatever a damaged stream raises, its checksum's error included
        raise DamagedFileError(" ".join(str(error).split())) from error
    return content
