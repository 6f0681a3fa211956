"""What a compressed frame says of itself before it is decoded: JPEG, JPEG-LS and JPEG 2000.

Headers around a frame may be wrong about it, and the libraries that decode it fill up with grey
what is missing at its end. So size, depth and end are read from the stream itself.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2_BYTES = 4096
"""Where a JPEG 2000 stream must begin in a frame that wraps it into JP2's boxes."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG (ITU-T T.81, table B.1) and JPEG-LS (T.87)."""
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD8)) | {0x01}
_HUFFMAN, _LOSSLESS = (0xC0, 0xC1, 0xC2), 0xC3
"""Starts of frames whose every block of 8 x 8, or every value, takes a code of a bit or more."""
_SCAN, _END = 0xDA, 0xD9
_MOST_SEGMENTS, _MOST_FILL = 10_000, 1000
"""Of a JPEG before its pixels, and bytes before a marker. Profiles and thumbnails take hundreds."""
_AFTER_A_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The marker that ends a scan's data: no stuffed zero, no restart, no fill byte."""
_SURPLUS = b"\x11\x93\x6a\xd4" * 64
"""Bytes that a decoder of any Huffman or arithmetic code takes for values that differ."""

_START_OF_TILE = 0xFF90
_END_OF_STREAM = b"\xff\xd9"
"""Of JPEG, JPEG-LS and JPEG 2000 alike."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a stream says of its image."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    bits: int
    """Precision of a value."""
    signed: bool | None
    """Whether values are signed; None for JPEG and JPEG-LS, which do not say."""
    scans: int
    """How often a decoder goes over the pixels."""
    complete: bool
    """Whether every tile is there, and the end of the image follows its last part."""
    least_bytes: int = 0
    """Fewer no image of this size takes: a bit for each code."""


def read_codestream(frame: bytes) -> Codestream | None:
    """What the frame's stream says; None where it is none of the three, or has no usable header."""
    start = frame.find(_JPEG_2000, 0, _JP2_BYTES)
    if start >= 0:
        return _jpeg_2000(frame[start:] if start else frame)
    return _jpeg(frame) if frame.startswith(_JPEG) else None


def with_surplus(frame: bytes) -> bytes | None:
    """A JPEG with bytes before its end that no complete image needs; None where it has no end.

    A decoder that has all values skips them. One that lacks some takes them for those, where it
    would fill up with grey: so an image that was cut, and then closed, decodes to another picture.
    """
    at = 2
    while markers := [*_markers(_reader_of(frame), at)]:
        marker, at = markers[-1]
        if marker == _END:
            return frame[:at] + _SURPLUS + frame[at:]
        found = _AFTER_A_SCAN.search(frame, at + 2)
        if marker != _SCAN or not found:
            return None
        at = found.start()
    return None


def has_frame(file: BinaryIO) -> bool:
    """Whether an open JPEG says what image it holds. No more than that is read."""

    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    return any(marker in _START_OF_FRAME for marker, _ in _markers(read, 2))


def _reader_of(frame: bytes) -> Callable[[int, int], bytes]:
    return lambda at, size: frame[at : at + size]


def _markers(read: Callable[[int, int], bytes], at: int) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG and where they stand, from a place in it up to its next scan or its end.

    `read`: gives so many bytes from a place. Ends at what is no marker, and where there are more
    segments or fill bytes than any image has.
    """
    for _ in range(_MOST_SEGMENTS):
        start = read(at, 4)
        if start[:2] == b"\xff\xff":
            fill = read(at, _MOST_FILL)
            at += len(fill) - len(fill.lstrip(b"\xff")) - 1
            start = read(at, 4)
        if len(start) < 2 or start[0] != 0xFF or start[1] == 0xFF:
            return
        marker = start[1]
        yield marker, at
        if marker in (_SCAN, _END):
            return
        at += 2 if marker in _WITHOUT_LENGTH else 2 + int.from_bytes(start[2:], "big")


def _jpeg(frame: bytes) -> Codestream | None:
    for marker, at in _markers(_reader_of(frame), 2):
        if marker in _START_OF_FRAME and at + 9 <= len(frame):
            bits, height, width = struct.unpack(">BHH", frame[at + 4 : at + 9])
            # a pair of bytes as a marker's is in no compressed data: a zero would follow its FF
            end, scan = frame.rfind(_END_OF_STREAM), frame.rfind(b"\xff\xda")
            least = _least_bytes(marker, width, height)
            return Codestream(
                width,
                height,
                bits,
                signed=None,
                scans=max(1, frame.count(b"\xff\xda", at)),
                complete=0 <= scan < end and len(frame) >= least,
                least_bytes=least,
            )
    return None


def _least_bytes(marker: int, width: int, height: int) -> int:
    if marker == _LOSSLESS:
        return width * height // 8
    return (width // 8) * (height // 8) // 8 if marker in _HUFFMAN else 0


def _jpeg_2000(stream: bytes) -> Codestream | None:
    """SIZ is the first marker segment (ISO/IEC 15444-1, A.5.1)."""
    if len(stream) < 43:
        return None
    right, lower, left, upper = struct.unpack(">4I", stream[8:24])
    depth = stream[42]
    return Codestream(
        width=right - left,
        height=lower - upper,
        bits=1 + (depth & 0x7F),
        signed=bool(depth & 0x80),
        scans=1,
        complete=_jpeg_2000_ends(stream),
    )


def _jpeg_2000_ends(stream: bytes) -> bool:
    """Whether every tile has all its parts and the end of the code stream follows the last.

    A tile part says how long it is (Psot, A.4.2), 0 being the last one's, up to the end; which tile
    it belongs to (Isot) and, maybe, how many parts that has (TNsot).
    """
    parts: Counter[int] = Counter()
    said: dict[int, int] = {}
    at = 2
    while at + 4 <= len(stream):
        marker, length = struct.unpack(">HH", stream[at : at + 4])
        if marker != _START_OF_TILE:
            at += 2 + length
            if stream[at : at + 2] == _END_OF_STREAM:
                return _all_there(stream, parts, said)
            continue
        if at + 12 > len(stream):
            return False
        index, size, _, count = struct.unpack(">HIBB", stream[at + 4 : at + 12])
        parts[index] += 1
        if count:
            said[index] = count
        if not size:
            return stream.find(_END_OF_STREAM, at + 12) >= 0 and _all_there(stream, parts, said)
        at += size
        if stream[at : at + 2] == _END_OF_STREAM:
            return _all_there(stream, parts, said)
    return False


def _all_there(stream: bytes, parts: Counter[int], said: dict[int, int]) -> bool:
    """Whether all tiles of the image (SIZ, B.3) have as many parts as they say."""
    right, lower, _, _, width, height, left, upper = struct.unpack(">8I", stream[8:40])
    if not width or not height:
        return False
    tiles = -(-(right - left) // width) * -(-(lower - upper) // height)
    return len(parts) == tiles and all(parts[index] == count for index, count in said.items())
