"""Instants in a command's life, counted by stage, at which something is done to it.

The hooks are put into a forked command before its first line runs (`processes.start(before=...)`).
They watch what Python, SQLAlchemy and torch do anyway: nothing of mcalc is replaced. An event is an
import, a step, an evaluation, a statement or commit, or a file that is opened, renamed, removed or
forced to disk. So the same number of the same stage is the same instant in every run.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = (
    "start-up", "tables", "data", "training", "validation", "checkpoint", "Optuna", "MLflow",
    "artifacts", "report",
)  # fmt: skip
TRAINING = ("training", "validation", "checkpoint")
"""The stages between the first iteration and the last."""
_FORM = struct.Struct(f"=b{len(STAGES)}I")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER")
_FILE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.link", "shutil.copyfile")
_FILL_BYTES = 1 << 20


@dataclass(frozen=True)
class Instant:
    """An instant, and what is done then: the `number`-th event of a stage, `delay` seconds on."""

    stage: str
    number: int
    delay: float = 0.0
    blow: str = "SIGKILL"
    """Signals by name, sent one after another; or `fill:FILE`, which fills the disk of a file."""

    def __str__(self) -> str:
        late = f" + {1000 * self.delay:.0f} ms" if self.delay else ""
        return f"{self.stage} {self.number}{late}"


@dataclass(frozen=True)
class Life:
    """What a command has done so far."""

    stage: str
    """Of its last event; empty before the first."""
    counts: dict[str, int]

    @staticmethod
    def read(file: Path) -> Life:
        content = file.read_bytes() if file.exists() else b""
        if len(content) < _FORM.size:
            return Life("", dict.fromkeys(STAGES, 0))
        stage, *counts = _FORM.unpack(content[: _FORM.size])
        return Life(STAGES[stage] if stage >= 0 else "", dict(zip(STAGES, counts, strict=True)))


def watch(file: str, instant: Instant | None = None, limit: int | None = None) -> None:
    """In a new process: count its events in a file, and strike at the instant.

    `limit`: bytes that no file may exceed.
    """
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    watcher = _Watcher(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC), instant)
    _hear_files(watcher)
    _hear_databases(watcher)
    _hear_training(watcher)


class _Watcher:
    def __init__(self, file: int, instant: Instant | None) -> None:
        self.file = file
        self.instant = instant
        self.counts = dict.fromkeys(STAGES, 0)
        self.stage = ""
        self._lock = threading.RLock()
        self._struck = False

    def event(self, stage: str) -> None:
        """Count an event that is about to happen."""
        with self._lock:
            self.stage = stage
            self.counts[stage] += 1
            os.pwrite(self.file, _FORM.pack(STAGES.index(stage), *self.counts.values()), 0)
            wanted = self.instant
            if wanted is None or self._struck or wanted.stage != stage:
                return
            if self.counts[stage] < wanted.number:
                return
            self._struck = True
        if wanted.delay:
            threading.Thread(target=_strike, args=(wanted.blow, wanted.delay), daemon=True).start()
        else:
            _strike(wanted.blow, 0.0)


def _strike(blow: str, delay: float) -> None:
    time.sleep(delay)
    if blow.startswith("fill:"):
        fill_disk(blow.removeprefix("fill:"))
        return
    for number, name in enumerate(blow.split()):
        # a second one comes when the first one has been heard
        time.sleep(0.02 if number else 0.0)
        os.kill(os.getpid(), signal.Signals[name])


def fill_disk(file: str) -> None:
    """Write a file until its disk has no byte left."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    size = _FILL_BYTES
    try:
        while size:
            try:
                if os.write(handle, b"\0" * size) < size:
                    size //= 2
            except OSError:
                size //= 2
    finally:
        os.close(handle)


def stage_of(path: str) -> str | None:
    """The stage that writes a file; None for one that tells nothing."""
    parts = Path(path).parts
    name = parts[-1] if parts else ""
    if "checkpoints" in parts:
        return "checkpoint"
    if "artifacts" in parts or any(part.startswith("mcalc-run-") for part in parts):
        return "artifacts"
    if ".cache" in parts:
        return "data"
    if "report" in parts:
        return "report"
    return "tables" if "mlflow" in name or "optuna" in name else None


def _hear_files(watcher: _Watcher) -> None:
    inside = threading.local()

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "import":
            ours = str(arguments[0]).startswith(("mcalc", "hydra_plugins"))
            # later imports belong to what they are needed for
            if ours and watcher.stage in ("", "start-up"):
                watcher.event("start-up")
            return
        if name == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
        elif name in _FILE_EVENTS:
            path = arguments[1] if name == "os.rename" else arguments[0]
        else:
            return
        if isinstance(path, int) or path is None or getattr(inside, "busy", False):
            return
        inside.busy = True
        try:
            if stage := stage_of(os.fsdecode(path)):
                watcher.event(stage)
        finally:
            inside.busy = False

    sys.addaudithook(hook)
    before = os.fsync

    def fsync(file: Any) -> None:
        if watcher.stage in ("data", "checkpoint", "artifacts", "report", "tables"):
            watcher.event(watcher.stage)
        before(file)

    system: Any = os
    system.fsync = fsync


def _hear_databases(watcher: _Watcher) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Connection, Engine

    def stage(connection: Connection) -> str:
        name = Path(connection.engine.url.database or "").name
        if name.startswith("."):
            return "tables"  # a draft of a store
        return "Optuna" if "optuna" in name else "MLflow"

    def executing(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(_CHANGES):
            watcher.event(stage(connection))

    def committing(connection: Connection) -> None:
        watcher.event(stage(connection))

    event.listen(Engine, "before_cursor_execute", executing)
    event.listen(Engine, "commit", committing)


def _hear_training(watcher: _Watcher) -> None:
    import torch

    def heard(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            watcher.event(stage)
            return function(*arguments, **named)

        return call

    optimizer: Any = torch.optim.SGD
    optimizer.step = heard("training", optimizer.step)
    tensor: Any = torch.Tensor
    tensor.backward = heard("training", tensor.backward)
    inference: Any = torch.inference_mode
    inference.__enter__ = heard("validation", inference.__enter__)
    library: Any = torch
    library.save = heard("checkpoint", torch.save)
