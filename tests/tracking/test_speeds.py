"""Recorded speeds are the same whether MLflow is asked or its database is read."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pytest
from stores import begin_with_tables

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.sqlite_file import url_of
from mcalc.tracking import speeds
from mcalc.tracking.tracker import Tracker

PARAMS = {"backbone.name": "alexnet", "trainer.batch_size": 10}
TAGS = {
    "mcalc.host": "here", "mcalc.device": "CPU", "mcalc.precision": "bf16",
    "mcalc.memory_format": "channels_last", "mcalc.threads": "2",
}  # fmt: skip
KIND = ("alexnet", "10", "0", "CPU", "bf16", "channels_last", "2")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speeds") / "runs"
    begin_with_tables(folder)
    tracker = Tracker(folder, "mcalc")
    for number, seconds in enumerate((10.0, 20.0, 60.0)):
        end = {speeds.NETWORK_BYTES_TAG: "1000"} if number else {}
        _trial(tracker, f"k{number}", {}, {"seconds": seconds, "iterations": 10.0}, end)
    _trial(tracker, "other", {"mcalc.threads": "8"}, {"seconds": 3.0, "iterations": 10.0}, {})
    _trial(tracker, "elsewhere", {"mcalc.host": "there"}, {"seconds": 9.0, "iterations": 1.0}, {})
    for name, stages, augments in (("head", "all", True), ("once", "3", False), ("3", "3", True)):
        frozen = {"backbone.freeze": stages, "augment.enabled": augments}
        quick = {"seconds": 0.5, "iterations": 10.0}
        _trial(tracker, name, {}, quick, {}, frozen)
    _trial(tracker, "nothing", {}, {"accuracy": 0.5}, {})
    deleted = _trial(tracker, "deleted", {}, {"seconds": 1e6, "iterations": 1.0}, {})
    tracker.client.delete_run(deleted)
    tracker.open_trial("running", "running", PARAMS, TAGS, None)
    return folder


def _trial(
    tracker: Tracker,
    key: str,
    tags: dict[str, str],
    metrics: dict[str, float],
    end: dict[str, str],
    params: Mapping[str, object] = MappingProxyType({}),
) -> str:
    writer = tracker.open_trial(key, key, {**PARAMS, **params}, {**TAGS, **tags}, None)
    writer.finish(metrics, end)
    return str(writer.run_id)


def test_the_median_of_this_hosts_finished_trials_by_kind(record: Path) -> None:
    found = speeds.read_speeds(TrackingConfig(dir=str(record)), "here")
    assert found == {
        KIND: speeds.Speed(2.0, 1000),
        (*KIND[:-1], "8"): speeds.Speed(0.3, None),
        # a head, and stages that are computed once, are no measure for whole networks
        **{
            (*KIND[:2], frozen, *KIND[3:]): speeds.Speed(0.05, None)
            for frozen in ("all", "3 once", "3")
        },
    }
    assert speeds.read_speeds(TrackingConfig(dir=str(record)), "nobody") == {}


@pytest.mark.parametrize("host", ["here", "there"])
def test_mlflow_says_the_same(record: Path, host: str) -> None:
    database = record / "mlflow.db"
    asked = speeds.read_speeds(TrackingConfig(dir=str(record), uri=url_of(database)), host)
    assert asked == speeds.read_speeds(TrackingConfig(dir=str(record)), host) != {}


def test_no_mlflow_is_imported_for_it(record: Path) -> None:
    program = (
        "import sys\nfrom mcalc.config import TrackingConfig\n"
        "from mcalc.tracking import read_speeds\n"
        f"assert read_speeds(TrackingConfig(dir={str(record)!r}), 'here')\n"
        "print('mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_where_nothing_is_recorded_there_are_none(tmp_path: Path) -> None:
    assert speeds.read_speeds(TrackingConfig(dir=str(tmp_path / "runs")), "here") == {}
    assert not (tmp_path / "runs").exists()


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="is no SQLite database"):
        speeds.read_speeds(TrackingConfig(dir=str(tmp_path)), "here")


def test_tables_of_another_version_are_left_to_mlflow(record: Path, tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(record / "mlflow.db")) as source,
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as database,
    ):
        source.backup(database)
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.execute("ALTER TABLE latest_metrics RENAME COLUMN value TO number")
        database.commit()
    with pytest.raises(UserError, match="another version of MLflow"):
        speeds.read_speeds(TrackingConfig(dir=str(tmp_path)), "here")
