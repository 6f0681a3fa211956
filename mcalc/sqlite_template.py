"""Templates of databases: tables that a library makes in many steps are made once and copied.

MLflow reaches its tables by some sixty migrations, each of them a few syncs of the disk: seconds
for every new record. What they come to is the same each time, so a copy without any record is kept
in the user's cache folder, under a name that says of which versions it is and what is in it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from mcalc.atomic_write import write_binary
from mcalc.sqlite_file import file_of
from mcalc.user_cache import user_cache

_PRIVATE = 0o700
_OTHERS = 0o022
"""Rights of others to write."""


@dataclass(frozen=True)
class Template:
    """The tables of one library, made by it or copied.

    A copy is used where the library, those that it makes tables with and its migrations are the
    same, and the file has the content with which it was kept. Where none can be used or kept, as
    without a home folder, the library makes them: slower, and the same.
    """

    library: str
    migrations: str
    """Folder of the library with a file for each step to its tables."""
    make: Callable[[str], None]
    """Makes all tables in the database of the address that it is given."""
    own_rows: Collection[str] = ()
    """Tables whose rows belong to one database alone; the library writes them when it opens it."""

    def fill(self, url: str) -> None:
        """Make all tables in the new SQLite file of this address."""
        made = file_of(url)
        assert made is not None  # records are files
        if (content := self._kept()) is not None:
            made.write_bytes(content)
            return
        self.make(url)
        # whatever keeps a template from being kept, the tables are there
        with suppress(OSError, RuntimeError, sqlite3.Error):
            self._keep(made)

    def forget(self) -> None:
        """Remove what is kept: the library did not accept it."""
        with suppress(OSError, RuntimeError):
            for each in self._files():
                each.unlink(missing_ok=True)

    def _versions(self) -> str:
        """A digest of what decides how the tables are made.

        Raises OSError where the library keeps its migrations elsewhere now.
        """
        package = find_spec(self.library)
        places = (package.submodule_search_locations if package else None) or ()
        steps = sorted(
            e.name for place in places for e in (Path(place) / self.migrations).iterdir()
        )
        names = (self.library, "sqlalchemy", "alembic")
        said = [f"{name} {version(name)}" for name in names]
        return hashlib.sha256("\n".join((*said, *steps)).encode()).hexdigest()[:16]

    def _files(self) -> list[Path]:
        """What is kept of these versions, by whatever content."""
        prefix = f"{self.library}-{self._versions()}-"
        return sorted(
            each
            for each in _folder().iterdir()
            if each.name.startswith(prefix) and each.suffix == ".db"
        )

    def _kept(self) -> bytes | None:
        """A template that is there, whole and nobody else's; None where there is none."""
        with suppress(OSError, RuntimeError):
            if not _is_private(_folder()):
                return None
            for file in self._files():
                content = file.read_bytes()
                said = file.stem.rpartition("-")[2]
                if _is_private(file) and hashlib.sha256(content).hexdigest() == said:
                    return content
        return None

    def _keep(self, made: Path) -> None:
        """Keep a copy of new tables, without the rows that are this database's own."""
        folder = _folder()
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if not _is_private(folder):
            return
        content = self._without_rows(made)
        digest = hashlib.sha256(content).hexdigest()
        name = f"{self.library}-{self._versions()}-{digest}.db"
        for old in self._files():
            if old.name != name:
                old.unlink(missing_ok=True)
        with write_binary(folder / name) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)

    def _without_rows(self, made: Path) -> bytes:
        with closing(sqlite3.connect(":memory:")) as copy:
            with closing(sqlite3.connect(made)) as connection:
                connection.backup(copy)
            for table in self.own_rows:
                copy.execute(f'DELETE FROM "{table}"')
            copy.commit()
            # what was deleted, as the path of a folder, would stay in free pages
            copy.execute("VACUUM")
            return copy.serialize()


def _folder() -> Path:
    """Where templates are kept. Raises RuntimeError where the user has no home folder."""
    return user_cache() / "tables"


def _is_private(path: Path) -> bool:
    """Whether nobody else could have written it."""
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & _OTHERS
