"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# before anything imports torch, and for processes that tests start: several run side by side
os.environ.setdefault("OMP_NUM_THREADS", "1")
# where a test asks for more: threads that wait take no core from another test's process
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

LONG = ("slow", "distributed", "whole")
"""Markers of tests that may take more than a few seconds."""
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# a shell lets what it starts in the background ignore Ctrl-C, which some tests send
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images and weights that lie beside the repository; none of them is part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data beside the repository (looked for {SHARED_DATA})")
    return SHARED_DATA


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse versions of pytest and pytest-xdist that do not keep a group on one process."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    by_group = getattr(session.config.option, "loadgroup", False)
    if by_group and not all("@" in item.nodeid for item in grouped):
        raise pytest.UsageError("--dist loadgroup has no effect: take another pytest version")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: side by side, the last one to end is then a short one."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, LONG)))
