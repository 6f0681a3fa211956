"""Files whose name on disk is written otherwise than in a table.

A table made on macOS or Windows may name `Müller/1.jpg` where the disk has the same name in another
Unicode form, `müller/1.JPG` or `Müller/1.jpeg`. Such a file is found where no other has that name.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from unicodedata import normalize

from mcalc.data.sources.paths import entries, is_file, name_key
from mcalc.errors import UserError

_SAME_SUFFIX = {".jpeg": ".jpg", ".dicom": ".dcm"}
_HINTS = 100
"""Missing files for which the nearest name is looked for: each costs a look at the whole folder."""
_COMPARED = 1000
"""Names of a folder that are compared for it."""


class FileNames:
    """The names in the folders below a root, listed as they are needed and kept."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, dict[str, list[Path]]] = {}
        self._hints = _HINTS

    def alike(self, parts: Sequence[str]) -> list[Path]:
        """Files with this path but for case, Unicode form, or `.jpeg` for `.jpg`."""
        found = self._descend(parts)
        return [path for path in found[-1] if is_file(path)] if len(found) > len(parts) else []

    def nearest(self, parts: Sequence[str]) -> str | None:
        """The path, relative to the root, that comes nearest at the first name that is not there;
        None where there is none near, or after many such questions."""
        *_, folders = found = self._descend(parts)
        if self._hints <= 0 or len(found) > len(parts):
            return None
        self._hints -= 1
        here = {
            path.name: path
            for folder in folders
            for paths in self._names(folder).values()
            for path in paths
        }
        names = list(here)[:_COMPARED]
        close = difflib.get_close_matches(parts[len(found) - 1], names, n=1)
        return here[close[0]].relative_to(self._root).as_posix() if close else None

    def _descend(self, parts: Sequence[str]) -> list[list[Path]]:
        """The root, then what has each further name, as far as there is something."""
        levels = [[self._root]]
        for part in parts:
            key = _key(part)
            below = [path for folder in levels[-1] for path in self._names(folder).get(key, ())]
            if not below:
                break
            levels.append(below)
        return levels

    def _names(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listed:
            names: dict[str, list[Path]] = {}
            # what is no folder, or cannot be listed, holds nothing that could be taken
            with suppress(UserError):
                for path in entries(folder) if folder.is_dir() else ():
                    names.setdefault(_key(path.name), []).append(path)
            self._listed[folder] = names
        return self._listed[folder]


def shown(name: str, beside: str) -> str:
    """A name for a message: by its characters' numbers where it looks like the one beside it."""
    alike = name != beside and normalize("NFC", name) == normalize("NFC", beside)
    return ascii(name) if alike else repr(name)


def _key(name: str) -> str:
    key = name_key(name)
    suffix = PurePath(key).suffix
    return key.removesuffix(suffix) + _SAME_SUFFIX.get(suffix, suffix)
