"""Rows of a sweep file that take settings which are recorded under another name."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from engine import Instant, composed, settings, start, sweep
from recorded_study import checked, study_of

from mcalc.config import Config
from mcalc.results import RECORDED_AS_TAG
from mcalc.tracking.overview import unfinished_trials
from mcalc.tracking.reader import read_trials
from mcalc.trials.places import open_tracker


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the sweep `mine`, not written yet, below the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    return tmp_path / "sweeps" / "mine.yaml"


def write(rows: Path, **rates: int) -> None:
    lines = (f"  {name}: {{head.weight_lr: {rate}}}\n" for name, rate in rates.items())
    rows.write_text("rows:\n" + "".join(lines))


def counted(config: Config) -> dict[str, float]:
    """By name, the rate that counts: the same for study, report and table, and a check agrees."""
    shown = {
        trial.name: float(trial.params["head.weight_lr"])
        for trial in read_trials(config.tracking, "mine")
    }
    current = study_of(config).current()
    assert shown == {
        each.user_attrs["name"]: each.user_attrs["identity"]["values"]["head.weight_lr"]
        for each in current
    }
    report, _ = checked(Path(config.tracking.dir).parent)
    assert report.differences == report.unfinished == report.earlier == []
    assert unfinished_trials(config.tracking, "mine") == []
    return shown


def test_a_row_counts_under_its_present_name_and_does_not_run_again(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, instant = composed(settings(tmp_path)), Instant(tmp_path / "log", files=True)

    def ask(**rates: int) -> str:
        write(rows, **rates)
        capsys.readouterr()
        sweep(tmp_path, "sweep=mine", "dry_run=true")
        planned = capsys.readouterr().out
        sweep(tmp_path, "sweep=mine", instant=instant)
        table = re.findall(r"^  ([A-Z]) +(\d+) +0\.\d+", capsys.readouterr().out, re.MULTILINE)
        # of a single one there is nothing that varies
        wanted = {name: str(rate) for name, rate in rates.items()}
        assert len(rates) == 1 or dict(table).items() >= wanted.items()
        assert (
            counted(config).items() >= {name: float(rate) for name, rate in rates.items()}.items()
        )
        return planned

    ask(A=1, B=2)
    # swapped, moved to another name, one of them deleted, renamed, and as it was
    assert "A (finished, recorded as B)" in ask(A=2, B=1)
    ask(A=1)
    assert counted(config) == {"A": 1}
    assert "C (finished, recorded as" in ask(A=1, C=2)
    ask(A=1, B=2)
    assert (tmp_path / "log").read_text().split() == ["A", "B"]
    assert counted(config) == {"A": 1, "B": 2}
    ask(A=3, B=1)
    ask(A=1, B=3)
    assert (tmp_path / "log").read_text().split() == ["A", "B", "A"]
    _, runs = checked(tmp_path)
    assert {run.tags[RECORDED_AS_TAG] for run in runs} == {"A", "B"}


def test_a_deleted_rows_settings_count_under_the_name_that_took_them(
    tmp_path: Path, rows: Path
) -> None:
    config, instant = composed(settings(tmp_path)), Instant(tmp_path / "log", files=True)
    for rates in ({"A": 1, "B": 2}, {"A": 2}):
        write(rows, **rates)
        sweep(tmp_path, "sweep=mine", instant=instant)
    assert counted(config) == {"A": 2}


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_cut_off_goes_on_under_its_rows_new_name(
    tmp_path: Path, rows: Path, lost: bool
) -> None:
    config, instant = composed(settings(tmp_path)), Instant(tmp_path / "log", files=True)
    write(rows, A=1, B=2)
    worker = start(
        tmp_path, "sweep=mine", instant=Instant(tmp_path / "log", "began", "B", files=True)
    )
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    (run_id,) = [run.run_id for run in checked(tmp_path)[1] if run.name == "B"]
    write(rows, C=1, D=2)
    if lost:
        for file in (tmp_path / "mlruns").glob("optuna.db*"):
            file.unlink()
    sweep(tmp_path, "sweep=mine", instant=instant)
    if not lost:
        assert counted(config) == {"C": 1, "D": 2}
        (resumed,) = [run for run in checked(tmp_path)[1] if run.name == "D"]
        assert resumed.run_id == run_id
    assert {run.name for run in read_trials(config.tracking, "mine")} == {"C", "D"}
    assert checked(tmp_path)[0].differences == []


def test_a_name_that_somebody_changes_in_mlflow_is_found_still(tmp_path: Path, rows: Path) -> None:
    config, instant = composed(settings(tmp_path)), Instant(tmp_path / "log", files=True)
    for name in ("A", "B"):
        write(rows, **{name: 1})
        sweep(tmp_path, "sweep=mine", instant=instant)
    assert counted(config) == {"B": 1}
    (run,) = checked(tmp_path)[1]
    open_tracker(config).client.update_run(run.run_id, name="Z")
    assert checked(tmp_path)[0].differences
