"""SQLite files of a record on a network file system, with mounts as Linux would list them."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import settings, sweep
from parameters import most_are_whole
from sqlalchemy import text

from mcalc import network_files
from mcalc.config.compose import compose_config
from mcalc.errors import UserError
from mcalc.sqlite_file import url_of
from mcalc.sweep.store import leases
from mcalc.sweep.store.leases import Leases
from mcalc.sweep.store.storage import Storage
from mcalc.sweep.worker.shared_files import refuse_network_files


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is on NFS, by what the machine lists."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"35 22 0:44 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(network_files, "MOUNTS", mounts)
    return tmp_path


def test_one_process_is_warned_once_for_both_files(
    on_nfs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(on_nfs, "head.weight_lr=1,2", "name=mine")
    printed = capsys.readouterr().out.splitlines()
    (said,) = [each for each in printed if "network file system" in each]
    for words in ("optuna.db", "mlflow.db", "nfs4", "storage=postgresql", "tracking.dir=PATH"):
        assert words in said


def test_a_local_disk_is_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path, "head.weight_lr=1,2", "name=mine")
    assert "network file system" not in capsys.readouterr().out


def test_several_machines_are_refused(on_nfs: Path) -> None:
    config = compose_config(settings(on_nfs))
    with pytest.raises(UserError, match=r"jobs of SlurmLauncher would use optuna.db.*nfs4"):
        refuse_network_files(config, "jobs of SlurmLauncher")
    served = ("storage=postgresql+psycopg://u@h/n", "tracking.uri=http://h:5000")
    refuse_network_files(compose_config([*settings(on_nfs), *served]), "jobs of SlurmLauncher")


@pytest.mark.whole
@pytest.mark.parametrize("lives", most_are_whole([True, False], 1))
def test_a_living_worker_of_another_machine_on_the_same_file_is_refused(
    on_nfs: Path, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    sweep(on_nfs, "head.weight_lr=1,2", "name=mine")
    monkeypatch.setattr(leases, "STALE_SECONDS", 3.0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.3 if lives else 1000.0)
    storage = Storage(url_of(on_nfs / "mlruns" / "optuna.db"), 10)
    with Leases(storage, "mine").acquire("some run"):
        with storage.engine.begin() as connection:
            connection.execute(text("UPDATE mcalc_claims SET host = 'elsewhere'"))
        if lives:
            with pytest.raises(UserError, match=r"on elsewhere works at mine.*SQLite"):
                sweep(on_nfs, "head.weight_lr=1,2,3", "name=mine")
        else:
            assert len(sweep(on_nfs, "head.weight_lr=1,2,3", "name=mine")) == 3
