"""The files of a run that is open, and the digest of each.

In a record on this machine they are written where they stay: MLflow's own call copies each from
another file and asks the database where to, which takes longer than all the rest of a short trial.
Before another store they wait in a temporary folder until the run is closed: a server that goes
away in between may take none of them, and all are then recorded on this machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mlflow.tracking import MlflowClient

from mcalc.file_digest import file_sha256
from mcalc.tracking.manifest import digest


class RunFiles:
    """Writes the files of one run."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path | None) -> None:
        """`folder`: that of its files, where they lie on this machine beside the database."""
        self._client = client
        self._run_id = run_id
        self._folder = folder
        self._staged: Path | None = None
        self._made: set[Path] = set()
        self.digests: dict[str, str] = {}
        """SHA-256 of each file by its path below the run's artifacts."""

    @contextmanager
    def beside(self, work: Callable[[], None]) -> Iterator[None]:
        """In a record on this machine, write a large file while the block writes others.

        Writing waits for the disk, and the digest needs no lock of Python's. Calls to another store
        must keep their order: there the large file is written before the block.
        """
        if self._folder is None:
            work()
            yield
            return
        with ThreadPoolExecutor(1, "file") as thread:
            written = thread.submit(work)
            yield
            written.result()

    def put(self, name: str, content: bytes) -> None:
        """Write a file; `name` is a path below the run's artifacts."""
        file = self._place(name)
        file.write_bytes(content)
        self._log(file, name)
        self.digests[name] = digest(content)

    @contextmanager
    def new(self, name: str) -> Iterator[Path]:
        """Where to write a large file; it is one of the run's when the block ends."""
        draft = self._place(f".{name}")
        try:
            yield draft
            self.digests[name] = file_sha256(draft)
            file = draft.replace(draft.with_name(name))
            self._log(file, name)
        finally:
            draft.unlink(missing_ok=True)

    def link(self, other: RunFiles, name: str) -> bool:
        """Let a file be the same as another run's, stored once; False where that cannot be."""
        if self._folder is None or other._folder is None:
            return False
        draft = self._place(f".{name}")
        try:
            draft.unlink(missing_ok=True)
            os.link(other._folder / name, draft)
        except OSError:  # a file system without hard links, or with too many of this one
            return False
        draft.replace(draft.with_name(name))
        self.digests[name] = other.digests[name]
        return True

    def remove_staged(self) -> None:
        """Remove what waited for the end of the run."""
        if self._staged is not None:
            shutil.rmtree(self._staged, ignore_errors=True)

    def _place(self, name: str) -> Path:
        file = (self._folder or self._staging()) / name
        if file.parent not in self._made:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(file.parent)
        return file

    def _staging(self) -> Path:
        if self._staged is None:
            self._staged = Path(tempfile.mkdtemp(prefix="mcalc-run-"))
            # also for a run that stays open, for another worker to resume
            weakref.finalize(self, shutil.rmtree, self._staged, True)
        return self._staged

    def _log(self, file: Path, name: str) -> None:
        if self._folder is None:
            below = str(PurePosixPath(name).parent)
            self._client.log_artifact(self._run_id, str(file), None if below == "." else below)
