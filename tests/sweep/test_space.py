"""What takes room in a record, and what of it is said to be free to go."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import Instant, settings, start, sweep
from optuna.trial import TrialState

from mcalc.config.compose import compose_config
from mcalc.sqlite_file import url_of
from mcalc.sweep.__main__ import main
from mcalc.sweep.actions.space import Use, _in_cache, _in_record
from mcalc.sweep.store.entry import trajectory_of
from mcalc.sweep.store.storage import Storage
from mcalc.sweep.store.study import SweepStudy

RATES = "head.weight_lr=1,2,3"


def uses(folder: Path) -> dict[Use, list[int]]:
    config = compose_config(settings(folder))
    found: dict[Use, list[int]] = {}
    for use, size in (*_in_record(config), *_in_cache(Path(config.data.cache))):
        found.setdefault(use, []).append(size)
    return found


def test_every_file_is_counted_once_and_an_open_runs_checkpoint_cannot_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = Instant(tmp_path / "log", kill_at="began", kill_name="head.weight_lr=3")
    worker = start(tmp_path, RATES, "name=mine", instant=cut)
    worker.join(120)
    runs = tmp_path / "mlruns"
    storage = Storage(url_of(runs / "optuna.db"), 10)
    study = SweepStudy.find(storage, "mine")
    assert study is not None
    (runs / "checkpoints").mkdir()
    for attempt in study.attempts():
        size = 700 if attempt.state is TrialState.RUNNING else 30
        (runs / "checkpoints" / f"{trajectory_of(attempt)}.pth").write_bytes(b"x" * size)
    (runs / "checkpoints" / "unknown.pth").write_bytes(b"x" * 30)
    finished = next(a for a in study.attempts() if a.state is TrialState.COMPLETE)
    artifacts = runs / "artifacts" / finished.user_attrs["mlflow_run"] / "artifacts"
    (artifacts / "network.pth").write_bytes(b"x" * 5000)
    (runs / "artifacts" / "lost").mkdir()
    (runs / "artifacts" / "lost" / "network.pth").write_bytes(b"x" * 90)
    (runs / "mlflow.db.half-made-1").write_bytes(b"x" * 11)

    found = uses(tmp_path)
    by_name = {use.what: (use.can_go, sizes) for use, sizes in found.items()}
    assert by_name["checkpoints of open training runs"][1] == [700]
    assert by_name["checkpoints of open training runs"][0].startswith("no")
    assert by_name["checkpoints of finished or unknown training runs"][1] == [30] * 3
    assert by_name["mine: networks"][1] == [5000]
    assert by_name["files of runs that MLflow has not"][1] == [90]
    assert by_name["databases set aside"][1] == [11]
    everything = [
        each.stat().st_size
        for folder in (runs, tmp_path / "cache")
        for each in folder.rglob("*")
        if each.is_file()
    ]
    assert sum(map(len, found.values())) == len(everything)
    assert main(["space", f"tracking.dir={runs}", f"data.cache={tmp_path / 'cache'}"]) == 0
    printed = capsys.readouterr().out
    assert "nothing was deleted" in printed
    assert (runs / "checkpoints" / "unknown.pth").is_file()


def test_runs_that_were_replaced_can_go(tmp_path: Path) -> None:
    sweep(tmp_path, RATES, "name=mine")
    sweep(tmp_path, RATES, "name=mine", "rerun=true")
    (use,) = [use for use in uses(tmp_path) if "replaced" in use.what]
    assert use.what.startswith("mine: ")
    assert use.can_go.startswith("yes")


def test_an_empty_place_takes_nothing_and_stays_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["space", f"tracking.dir={tmp_path / 'a'}", f"data.cache={tmp_path / 'b'}"]) == 0
    assert "0.0 MB in all" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
