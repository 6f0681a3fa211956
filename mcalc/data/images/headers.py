"""Headers of image files, each read once while the file stays as it is.

An index of CBIS-DDSM opens 1,872 of them, for seconds, in each command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mcalc.data.images.file_states import KnownFiles
from mcalc.data.images.image_file import ImageHeader, read_header
from mcalc.file_digest import FileState, state_of

ReadHeader = Callable[[Path], ImageHeader]
_FORMAT = 1
"""Raised when another header is read from the same file."""
_COLUMNS = {"width": "INTEGER", "height": "INTEGER", "description": "TEXT"}


@contextmanager
def kept_headers(cache: Path) -> Iterator[ReadHeader]:
    """`read_header` with the headers that the cache knows; it learns of others when this ends.

    What cannot be read is read again each time.
    """
    known = KnownFiles(cache, f"headers_{_FORMAT}", _COLUMNS)
    kept = known.every()
    fresh: dict[FileState, tuple[int, int, str | None]] = {}

    def read(path: Path) -> ImageHeader:
        state = state_of(path)
        if state is not None and state in kept:
            return ImageHeader(*kept[state])
        header = read_header(path)
        # as it was before it was read
        if state is not None and state.is_settled:
            fresh[state] = (header.width, header.height, header.description)
        return header

    try:
        yield read
    finally:
        known.keep(fresh)
