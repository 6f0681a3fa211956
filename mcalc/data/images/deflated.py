"""Deflated DICOM files, whose header may unpack to a thousand times their size."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian

from mcalc.data.images.unreadable import UnreadableImage

MAX_BYTES = 160_000_000
"""What a deflated file may unpack to, as pydicom unpacks it whole before it reads an element: twice
a mammogram of 35 megapixels in 16 bits."""

_CHUNK = 1 << 20
_SYNTAX = 0x0010
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT")
"""Value representations whose length takes four bytes after two empty ones (PS3.5 7.1.2)."""


def refuse_bombs(file: BinaryIO, path: Path) -> None:
    """Raise UnreadableImage for a deflated file that unpacks to more than `MAX_BYTES`.

    `file`: the open DICOM file, which is read to some place in it.
    """
    if _skip_file_meta(file) != DeflatedExplicitVRLittleEndian:
        return
    unpacker, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while packed := unpacker.unconsumed_tail or file.read(_CHUNK):
        unpacked += len(unpacker.decompress(packed, _CHUNK))
        if unpacked > MAX_BYTES:
            raise UnreadableImage(
                f"{path} is deflated and unpacks to more than the {MAX_BYTES // 10**6} MB that "
                "are read: store it in an uncompressed transfer syntax"
            )


def _skip_file_meta(file: BinaryIO) -> str:
    """The transfer syntax that the file names; it is then read up to where its data set begins.

    File meta information is in explicit VR little endian whatever the data set is in (PS3.10 7.1).
    """
    file.seek(132)
    syntax = ""
    while (head := file.read(8)) and head[:2] == b"\x02\x00":
        length = int.from_bytes(head[6:8], "little")
        if head[4:6] in _LONG_VRS:
            length = int.from_bytes(file.read(4), "little")
        if int.from_bytes(head[2:4], "little") == _SYNTAX:
            syntax = file.read(length).decode("ascii", "replace").strip("\0 ")
        else:
            file.seek(length, 1)
    file.seek(-len(head), 1)
    return syntax
