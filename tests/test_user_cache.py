"""What PyTorch compiles is kept in the user's cache, and no command leaves a folder elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcalc.user_cache import keep_compiled_here

SETTING = "TORCHINDUCTOR_CACHE_DIR"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(SETTING, "")  # so that it is put back at the end
    monkeypatch.delenv(SETTING)
    return tmp_path / "cache" / "mcalc" / "torchinductor"


@pytest.mark.whole
def test_a_command_leaves_nothing_among_temporary_files(tmp_path: Path, cache: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    missing = str(tmp_path / "missing.npz")
    # imports PyTorch's compiler, as a training run does
    code = (
        "from mcalc.command_line import run_command\n"
        "try:\n"
        f"    run_command('weights', ['backbone=alexnet', 'backbone.weights={missing}'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "import torch._dynamo\n"
    )
    surroundings = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", code], env=surroundings, check=True)
    assert list(temporary.iterdir()) == []
    assert cache.is_dir()


def test_a_folder_that_someone_set_stays(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv(SETTING, "/mine")
    keep_compiled_here()
    assert os.environ[SETTING] == "/mine"
    assert not cache.exists()


def test_where_no_folder_can_be_made_pytorchs_own_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    keep_compiled_here()
    assert SETTING not in os.environ
    # as from a machine where it could be made
    monkeypatch.setenv(SETTING, str(cache))
    keep_compiled_here()
    assert SETTING not in os.environ
