"""Ways to damage a file: what disks, downloads, exporters and people do to it."""

from __future__ import annotations

import io
import random
import re
import zipfile
import zlib
from collections.abc import Callable

_TEXT = (
    b"", b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-320", b"2000,5", b"9" * 400, b"-0.0", b"null",
    b"true", b"yes", b"010", b"0x1F", b"12:30", b"2026-01-01", b"\xff\xfe", b"\0", b"\xed\xa0\x80",
    b"..", b"../../etc/passwd", b"/", b"~", b"A" * 70_000, b"[" * 3_000, b"{a: " * 500, b"&a [*a]",
    b"*a", b"!!python/object:os.system x", b'"', b"'", b"\r", b"\t", b";", b",", b"\n\n",
    b"\xe2\x80\xae",
)  # fmt: skip
_NUMBERS = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS = re.compile(rb"[^\s,;:\[\]{}\"']+")

Damage = Callable[[bytes, random.Random], bytes]


def _place(data: bytes, draw: random.Random) -> tuple[int, int]:
    """A stretch of the data, short ones more often, near the start more often."""
    length = min(len(data), int(2 ** draw.uniform(0, 12)))
    end = max(1, len(data) - length)
    start = draw.randrange(min(end, 2_000) if draw.random() < 0.6 else end)
    return start, start + length


def flip_bits(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(int(2 ** draw.uniform(0, 7))):
        if changed:
            changed[_place(data, draw)[0]] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, draw: random.Random) -> bytes:
    start, end = _place(data, draw)
    filling = draw.choice((b"\0", b"\xff", b"\x7f", b"\x80", draw.randbytes(7)))
    return data[:start] + (filling * (end - start))[: end - start] + data[end:]


def cut_off(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def remove(data: bytes, draw: random.Random) -> bytes:
    start, end = _place(data, draw)
    return data[:start] + data[end:]


def repeat(data: bytes, draw: random.Random) -> bytes:
    start, end = _place(data, draw)
    return data[:end] + data[start:end] * draw.choice((1, 1, 2, 40)) + data[end:]


def insert(data: bytes, draw: random.Random) -> bytes:
    start, _ = _place(data, draw)
    return data[:start] + draw.choice((draw.randbytes(9), *_TEXT)) + data[start:]


def large_number(data: bytes, draw: random.Random) -> bytes:
    """A length, a size or a count that lies."""
    width = draw.choice((1, 2, 4, 8))
    start, _ = _place(data, draw)
    number = draw.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 65_535, 32_768, 10**6))
    order = draw.choice(("little", "big"))
    lie = (number % 2 ** (8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return data[:start] + lie + data[start + width :]


def replace_word(data: bytes, draw: random.Random) -> bytes:
    """A word or number of a text by one that a reader may take for something else."""
    found = list(draw.choice((_WORDS, _NUMBERS)).finditer(data[:200_000]))
    if not found:
        return insert(data, draw)
    word = draw.choice(found)
    return data[: word.start()] + draw.choice(_TEXT) + data[word.end() :]


def move_lines(data: bytes, draw: random.Random) -> bytes:
    """Lines repeated, removed, exchanged or joined."""
    lines = data.split(b"\n")
    here, there = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            lines[here] = lines[there]
        case 1:
            del lines[here]
        case 2:
            lines[here], lines[there] = lines[there], lines[here]
        case _:
            lines.insert(here, lines[there])
    return b"\n".join(lines)


def exchange_cells(data: bytes, draw: random.Random) -> bytes:
    """Separators, quotes and encodings of another program."""
    match draw.randrange(5):
        case 0:
            return data.replace(b",", draw.choice((b"\t", b";", b"|")))
        case 1:
            return draw.choice((b"sep=;\n", b"\xef\xbb\xbf", b"\n\n", b"#")) + data
        case 2:
            encoding = draw.choice(("utf-16", "utf-32", "latin-1"))
            return data.decode("utf-8", "replace").encode(encoding, "replace")
        case 3:
            return data.replace(b'"', b"", 1)
        case _:
            return data.replace(b"\n", b"\r")


BINARY: tuple[Damage, ...] = (
    flip_bits, overwrite, cut_off, remove, repeat, insert, large_number, large_number,
)  # fmt: skip
TEXT: tuple[Damage, ...] = (
    replace_word, replace_word, replace_word, move_lines, exchange_cells, insert, cut_off, remove,
    repeat, flip_bits,
)  # fmt: skip


def in_a_chunk(data: bytes, draw: random.Random) -> bytes:
    """One chunk of a PNG damaged, with the checksum that then belongs to it."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return flip_bits(data, draw)
    hit = draw.randrange(len(chunks))
    made = data[:8]
    for place, (name, content) in enumerate(chunks):
        inside = draw.choice(BINARY)(content, draw) if place == hit else content
        crc = zlib.crc32(name + inside).to_bytes(4, "big")
        made += len(inside).to_bytes(4, "big") + name + inside + crc
    return made


def in_a_member(data: bytes, draw: random.Random) -> bytes:
    """One member of a zip damaged, in an archive that is whole."""
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(each, archive.read(each)) for each in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, OSError, zlib.error, NotImplementedError, EOFError):
        return flip_bits(data, draw)
    hit = draw.randrange(len(members)) if members else 0
    with zipfile.ZipFile(out, "w") as archive:
        for place, (info, content) in enumerate(members):
            inside = draw.choice(BINARY)(content, draw) if place == hit else content
            archive.writestr(info.filename, inside, info.compress_type)
    return out.getvalue()


PNG = (*BINARY, *(in_a_chunk,) * 2 * len(BINARY))
ZIP = (*BINARY, *(in_a_member,) * 2 * len(BINARY))


def damaged(data: bytes, ways: tuple[Damage, ...], draw: random.Random) -> bytes:
    """The data after one to four of the ways."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        data = draw.choice(ways)(data, draw) if data else draw.randbytes(3)
    return data
