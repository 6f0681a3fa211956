"""A large file of a run, beside others in a record on this machine, before them in another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from mcalc.tracking.run_files import RunFiles

DEADLINE = 60.0


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    """It is asked nothing here."""
    return MlflowClient(f"sqlite:///{tmp_path / 'nothing.db'}")


def test_here_other_files_are_written_meanwhile(client: MlflowClient, tmp_path: Path) -> None:
    begun = threading.Event()
    files = RunFiles(client, "run", tmp_path)

    def large() -> None:
        assert begun.wait(DEADLINE), "the block waits for the large file"
        files.put("large", b"large")

    with files.beside(large):
        begun.set()
        files.put("small", b"small")
    assert (tmp_path / "large").read_bytes() == b"large"
    assert set(files.digests) == {"large", "small"}


def test_another_store_gets_it_first_and_from_the_same_thread(client: MlflowClient) -> None:
    done: list[object] = []
    with RunFiles(client, "run", None).beside(lambda: done.append(threading.current_thread())):
        done.append("the block")
    assert done == [threading.current_thread(), "the block"]


def test_what_keeps_it_from_being_written_is_raised(client: MlflowClient, tmp_path: Path) -> None:
    def fails() -> None:
        raise OSError("no space left on device")

    for folder in (tmp_path, None):
        with (
            pytest.raises(OSError, match="no space left"),
            RunFiles(client, "run", folder).beside(fails),
        ):
            pass
