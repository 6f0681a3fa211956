"""Fixtures that several test modules share."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import stat
import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

# before anything imports torch, and for processes that tests start: several run side by side
os.environ.setdefault("OMP_NUM_THREADS", "1")
# where a test asks for more: threads that wait take no core from another test's process
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import psutil
import pytest
from sqlalchemy import Connection, Engine, event

from mcalc.allocator import give_back_memory, keep_freed_memory

LONG = ("slow", "distributed", "whole")
"""Markers of tests that may take more than a few seconds."""
MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux."""
LARGE_BYTES = 10 * 2**20
"""Files that are removed as their test ends."""
MUCH_BYTES = 3 * 2**29
"""What tests may leave in a process before it is given back."""
_held = 0
"""Bytes that this process had when memory was given back last."""
ENOUGH_BYTES = 12 * 2**30
"""Free ones from which on temporary files lie there: they take up to 3 GB."""
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# a shell lets what it starts in the background ignore Ctrl-C, which some tests send
signal.signal(signal.SIGINT, signal.default_int_handler)


# a fourth of what networks take in tests is pages that the system clears anew
keep_freed_memory()


@pytest.fixture(autouse=True)
def modest() -> Iterator[None]:
    """Give memory back: a process that has trained keeps what it freed."""
    yield
    global _held
    if psutil.Process().memory_info().rss > _held + MUCH_BYTES:
        give_back_memory()  # which takes a while: not again before as much has come
        _held = psutil.Process().memory_info().rss


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


@event.listens_for(Engine, "engine_connect")
def _engine_connected(connection: Connection) -> None:
    _engines.add(connection.engine)


@pytest.fixture(autouse=True, scope="module")
def connections_closed() -> Iterator[None]:
    """Close databases: MLflow keeps those of every folder, and a process may open 256 on macOS."""
    yield
    for engine in list(_engines):
        engine.dispose()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images and weights that lie beside the repository; none of them is part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data beside the repository (looked for {SHARED_DATA})")
    return SHARED_DATA


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files lie in memory where there is much of it, as tests wait for the disk a lot.

    Not where the caller names a place (`--basetemp`, TMPDIR).
    """
    if hasattr(config, "workerinput") or config.option.basetemp or "TMPDIR" in os.environ:
        return
    if not MEMORY.is_dir():
        return
    for left in MEMORY.glob("mcalc-tests-*"):  # of a run that was killed
        if not Path(f"/proc/{left.name.rpartition('-')[2]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    if min(shutil.disk_usage(MEMORY).free, _memory()) > ENOUGH_BYTES:
        place = MEMORY / f"mcalc-tests-{os.getpid()}"
        config.option.basetemp = str(place)
        config.add_cleanup(partial(shutil.rmtree, place, ignore_errors=True))


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Remove large files of a test that ended.

    Its folder stays: the next one would get the same path, under which libraries keep databases of
    this one open.
    """
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    for file in folder.rglob("*") if folder else ():
        with suppress(OSError):
            if stat.S_ISREG(file.lstat().st_mode) and file.lstat().st_size > LARGE_BYTES:
                file.unlink()


def _memory() -> int:
    """Bytes of memory that are free for new processes."""
    found = re.search(r"^MemAvailable: +([0-9]+) kB$", Path("/proc/meminfo").read_text(), re.M)
    return 1024 * int(found.group(1)) if found else 0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse versions of pytest and pytest-xdist that do not keep a group on one process."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    by_group = getattr(session.config.option, "loadgroup", False)
    if by_group and not all("@" in item.nodeid for item in grouped):
        raise pytest.UsageError("--dist loadgroup has no effect: take another pytest version")


def pytest_runtestloop(session: pytest.Session) -> None:
    """Let no look for garbage go through what pytest and the libraries are made of."""
    gc.freeze()
    session.config.add_cleanup(gc.unfreeze)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: side by side, the last one to end is then a short one."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, LONG)))
