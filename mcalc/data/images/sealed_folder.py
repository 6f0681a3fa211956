"""A folder of a cache with a seal: a file of its key and checksums, which tells what was changed.

Nothing is parsed before the seal was compared, as parsers of damaged files end in any error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcalc.file_digest import file_crc32

SEAL = "checksums"
"""The seal's name: text of the folder's key and a line for each file."""


def seal(folder: Path, key: str, names: Sequence[str]) -> None:
    """Write the seal of a folder that will stand under this key. Raises OSError."""
    (folder / SEAL).write_bytes(_content(folder, key, names))


def is_sealed(folder: Path, key: str, names: Sequence[str]) -> bool:
    """Whether these files are those that were sealed under this key.

    No where one is damaged or gone, nor where the folder was made for another key.
    """
    try:
        return (folder / SEAL).read_bytes() == _content(folder, key, names)
    except OSError:
        return False


def _content(folder: Path, key: str, names: Sequence[str]) -> bytes:
    lines = [f"key {key}", *(f"{file_crc32(folder / name):08x} {name}" for name in names)]
    return "".join(f"{line}\n" for line in lines).encode()
