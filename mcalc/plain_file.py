"""Files that a user names, opened only where they are files: no folder, pipe or device."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mcalc.errors import UserError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
"""What stands where a file is expected, in words."""


def kind_of(mode: int) -> str | None:
    """What stands where a file is expected, in words, by its `st_mode`; None for a file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def open_plain(path: Path, where: str) -> int:
    """The descriptor of a file, open for reading; the caller closes it.

    Args:
        path: the file, or a link to one.
        where: what a message calls it, as `sweeps/NAME.yaml`.

    Raises UserError where it is no file, is not there or may not be read. A pipe does not block.
    """
    try:
        # Windows has no such flag and no such pipes
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        cause = "a link to a file that is not there" if path.is_symlink() else "not there"
        raise UserError(f"{where} cannot be read: it is {cause}; give an existing file") from error
    except (OSError, ValueError) as error:
        if path.is_dir() or path.is_socket():
            raise UserError(f"{where} is not a file: give a file, or remove it") from error
        raise UserError(
            f"{where} cannot be read ({getattr(error, 'strerror', None) or error}): give a file "
            "that you may read"
        ) from error
    if kind := kind_of(os.fstat(number).st_mode):
        os.close(number)
        raise UserError(f"{where} is {kind}, not a file: give a file, or remove it")
    return number


def read_plain(path: Path, where: str, most_bytes: int) -> bytes:
    """The content of a file of at most `most_bytes`. Raises UserError as `open_plain`, and above.

    No more than that is read, whatever size the file claims.
    """
    with os.fdopen(open_plain(path, where), "rb") as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            raise UserError(f"{where} cannot be read ({error.strerror})") from error
        if len(content) > most_bytes:
            size = max(os.fstat(file.fileno()).st_size, len(content))
            raise UserError(
                f"{where} has {size:,} bytes: expected at most {most_bytes:,}; is it another file?"
            )
    return content
