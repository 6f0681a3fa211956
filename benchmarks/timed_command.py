"""Wall clock of whole commands, as a user gives them."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def seconds_of(
    command: Callable[[Path], Sequence[str]], environment: Mapping[str, str] | None = None
) -> float:
    """Seconds of a command in a new folder, which it is made with.

    Raises RuntimeError with the end of what it printed where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = command(Path(folder))
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"it failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds
