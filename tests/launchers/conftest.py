"""What the tests of launchers share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The setting of a cache that the sweeps of a module share."""
    return f"data.cache={tmp_path_factory.mktemp('cache')}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a sweep of this process is started; its path has spaces."""
    made = tmp_path / "where it is started"
    made.mkdir()
    monkeypatch.chdir(made)
    return made
