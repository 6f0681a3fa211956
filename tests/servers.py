"""Servers that tests start: on a port that is free, and ended with all their processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""An MLflow server without its seven processes for jobs, which import all of MLflow each."""
_PORTS = 4
"""Ports that are tried: another process may take one between its choice and the server's start."""
_LONGEST_SECONDS = 240.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: Callable[[int], Sequence[str]], folder: Path, page: str = "/", **environment: str
) -> Iterator[tuple[str, Path]]:
    """A server while the block runs: its address, and the file with what it prints.

    `command`: what starts it on a port, in `folder`, with the variables of `environment` besides
    those of this process; `page` answers when it is up.
    """
    for _ in range(_PORTS):
        port = free_port()
        handle, log = tempfile.mkstemp(suffix=".log")
        with os.fdopen(handle, "wb") as output:
            process = subprocess.Popen(
                command(port),
                cwd=folder,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            if _answers(process, f"http://127.0.0.1:{port}{page}"):
                yield f"http://127.0.0.1:{port}", Path(log)
                return
        finally:
            with process:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail(f"no server came up on {_PORTS} ports:\n{Path(log).read_text()}")


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    """Whether the server answers before it ends."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=10).close()
        except OSError:
            time.sleep(0.2)
        else:
            return process.poll() is None
    return False


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """A real MLflow server while the block runs, with its database and artifacts in a folder."""
    with served(
        lambda port: [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1", "--backend-store-uri", "sqlite:///server.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        folder,
        "/health",
        **WITHOUT_JOBS,
    ) as (address, _):
        yield address
