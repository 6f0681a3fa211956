"""The page of a report with what it shows, of a folder that may hold those of earlier ones too."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(rb'(?:src|href)="([^"#?:]+)')
"""A relative address in HTML."""


def shown_files(out: Path, first: Sequence[str], folders: Collection[str]) -> dict[str, bytes]:
    """Files by their address below `out`: the first, and those in `folders` that they lead to.

    Args:
        out: the report's folder.
        first: addresses of its page, and of figures beside it; those that are absent are left out.
        folders: names of folders in `out`. What pages link to elsewhere is of another report.

    Raises OSError for a file that cannot be read.
    """
    found: dict[str, bytes] = {}
    wanted = [*first]
    while wanted:
        address = wanted.pop()
        if address in found or not (out / address).is_file():
            continue
        content = found[address] = (out / address).read_bytes()
        if address.endswith(".html"):
            here = posixpath.dirname(address)
            for link in _LINK.findall(content):
                target = posixpath.normpath(posixpath.join(here, unquote(link.decode())))
                if target.partition("/")[0] in folders:
                    wanted.append(target)
    return found
