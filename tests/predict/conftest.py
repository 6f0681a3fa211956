from __future__ import annotations

from pathlib import Path

import pytest
from trained_record import train


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `mlruns` has the sweep `sq` of two trials, and the phantom in `.cache`."""
    folder = tmp_path_factory.mktemp("predict")
    train(folder, "backbone=squeezenet", "head.weight_lr=1,20", "name=sq")
    (folder / "empty").mkdir()
    return folder
