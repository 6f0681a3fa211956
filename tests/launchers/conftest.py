"""What the tests of launchers share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The setting of a cache that the sweeps of a module share."""
    return f"data.cache={tmp_path_factory.mktemp('cache')}"
