"""Commands in processes of their own: their wall clock, and what they measured."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


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


def answer_of(words: Sequence[str], what: str) -> Any:
    """The JSON that a command prints as its last line.

    Raises RuntimeError that names `what` failed, with what it printed to stderr.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
