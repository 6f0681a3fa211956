"""Files on the disk and the room that they take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def sized_files(*places: Path) -> Iterator[tuple[Path, int]]:
    """Files, and all files below folders, with their bytes; nothing where there is none.

    Symbolic links are not followed, nor counted. What a file takes under several names (hard links,
    as of equal networks) is counted with its first.
    """
    seen: set[tuple[int, int]] = set()
    for place in places:
        for file in (place, *sorted(place.rglob("*"))):
            if file.is_file() and not file.is_symlink():
                found = file.stat()
                name = found.st_dev, found.st_ino
                yield file, 0 if name in seen else found.st_size
                seen.add(name)


def bytes_below(*places: Path) -> int:
    """Bytes of files and of all files below folders, each once; 0 where there is nothing."""
    return sum(size for _, size in sized_files(*places))
