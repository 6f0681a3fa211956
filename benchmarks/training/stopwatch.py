"""Times of a run, and how much of the processor others took meanwhile."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil


@dataclass
class Stopwatch:
    """Times in seconds."""

    began: float = field(default_factory=time.perf_counter)
    marks: list[float] = field(default_factory=list)
    """When each step ended."""
    validations: list[float] = field(default_factory=list)
    """How long each took."""
    total: float = 0.0
    others: float = 0.0
    """Share of the processors' time that other processes took."""
    _busy: float = 0.0
    _own: float = 0.0

    def start(self) -> None:
        """Training begins now."""
        self._busy, self._own = _busy(), _own()
        self.began = time.perf_counter()

    def stop(self) -> None:
        """Training has ended."""
        self.total = time.perf_counter() - self.began
        others = (_busy() - self._busy) - (_own() - self._own)
        self.others = max(0.0, others) / (self.total * (os.cpu_count() or 1))

    def step(self) -> None:
        """A step has ended."""
        self.marks.append(time.perf_counter())

    def result(self) -> dict[str, Any]:
        """As JSON has it; `steps` without the first three, which allocate."""
        steps = [b - a for a, b in zip(self.marks, self.marks[1:], strict=False)][3:]
        kept = {k: v for k, v in asdict(self).items() if k in ("total", "others", "validations")}
        return {**kept, "steps": steps}


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _own() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
