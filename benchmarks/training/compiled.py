"""The limit with its network compiled, by CUDA graphs on a GPU: what compiling could gain."""

from __future__ import annotations

from benchmarks.training import limit
from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.workload import Workload


def run(work: Workload, watch: Stopwatch) -> None:
    """Train."""
    limit.run(work, watch, compiles=True)
