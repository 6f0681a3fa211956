"""A sweep that goes on where some of its trials are others now: by new numerics, or an edit."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine import Instant, composed, settings, start, sweep
from processes import wait_for
from recorded_study import checked, study_of

from mcalc.config import PlannedTrial, identity
from mcalc.results import ERROR_TAG
from mcalc.sweep.__main__ import main
from mcalc.sweep.checking.repair import repair
from mcalc.sweep.store import SweepStudy, trajectory_of
from mcalc.tracking.counting import count_again
from mcalc.tracking.overview import unfinished_trials
from mcalc.tracking.reader import read_trials
from mcalc.training.checkpoint_place import checkpoint_path
from mcalc.trials.places import open_tracker

RATES = ("head.weight_lr=1,2,3", "name=mine")
NAMES = [f"head.weight_lr={rate}" for rate in (1, 2, 3)]


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The code as an earlier version of its numerics, until it is undone."""
    version = identity.NUMERICS_VERSION - 1
    for module in ("mcalc.config.identity", "mcalc.sweep.store.entry"):
        monkeypatch.setattr(f"{module}.NUMERICS_VERSION", version)
    return monkeypatch


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the sweep `mine`, not written yet, below the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    return tmp_path / "sweeps" / "mine.yaml"


def said_by_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints, without its line breaks."""
    capsys.readouterr()
    assert main(["check", "mine", f"tracking.dir={folder / 'mlruns'}"]) == 0
    return " ".join(capsys.readouterr().out.split())


def cut_off(folder: Path, *arguments: str, at: str) -> None:
    """Kill a sweep while a trial of this name is under way."""
    worker = start(folder, *arguments, instant=Instant(folder / "log", "began", at))
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL


def test_what_was_cut_off_before_an_edit_is_given_up(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.write_text("rows:\n  A: {head.weight_lr: 1}\n  B: {head.weight_lr: 2}\n")
    cut_off(tmp_path, "sweep=mine", at="B")
    before, _ = checked(tmp_path)
    assert before.unfinished == ["B"]
    config = composed(settings(tmp_path))
    (left,) = study_of(config).running()
    checkpoint = checkpoint_path(tmp_path / "mlruns", trajectory_of(left))
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.touch()
    rows.write_text("rows:\n  A: {head.weight_lr: 1}\n  B: {head.weight_lr: 5}\n")
    sweep(tmp_path, "sweep=mine")
    report, runs = checked(tmp_path)
    assert report.unfinished == report.differences == []
    assert report.counts == {"complete": 2}
    assert Counter(run.state for run in runs) == {"finished": 2, "interrupted": 1}
    assert unfinished_trials(config.tracking, "mine") == []
    # back to the row as it was: it goes on in its run
    assert checkpoint.exists()
    rows.write_text("rows:\n  A: {head.weight_lr: 1}\n  B: {head.weight_lr: 2}\n")
    capsys.readouterr()
    sweep(tmp_path, "sweep=mine", "dry_run=true")
    said = capsys.readouterr().out
    assert "1 finished, 1 to run\n" in said
    assert "B (cut off before)" in said
    sweep(tmp_path, "sweep=mine")
    report, runs = checked(tmp_path)
    assert report.unfinished == report.differences == []
    assert [run.state for run in runs] == ["finished"] * 3
    assert not any(run.tags.get(ERROR_TAG) for run in runs)
    assert (tmp_path / "log").read_text().split() == ["A", "B", "B", "B"]


def test_a_row_that_is_edited_and_edited_back_has_its_own_result(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = []
    for rate in (2, 5, 2):
        rows.write_text(f"rows:\n  A: {{head.weight_lr: 1}}\n  B: {{head.weight_lr: {rate}}}\n")
        capsys.readouterr()
        sweep(tmp_path, "sweep=mine")
        (row,) = re.findall(r"^  B +(\d+) +(0\.\d+)", capsys.readouterr().out, re.MULTILINE)
        figures.append(row)
    assert [rate for rate, _ in figures] == ["2", "5", "2"]
    assert figures[0] == figures[2] != figures[1]
    assert (tmp_path / "log").read_text().split() == ["A", "B", "B"]


def test_everything_that_reads_a_sweep_takes_the_row_that_was_asked_for_last(
    tmp_path: Path, rows: Path
) -> None:
    tracking = composed(settings(tmp_path)).tracking

    def reported() -> list[str]:
        found = read_trials(tracking, "mine")
        return [trial.params["head.weight_lr"] for trial in found if trial.name == "B"]

    def ask(rate: int, *words: str) -> None:
        rows.write_text(f"rows:\n  A: {{head.weight_lr: 1}}\n  B: {{head.weight_lr: {rate}}}\n")
        sweep(tmp_path, "sweep=mine", *words, instant=Instant(tmp_path / "log", files=True))
        study = study_of(composed(settings(tmp_path)))
        (one,) = [each for each in study.current() if each.user_attrs["name"] == "B"]
        assert one.user_attrs["identity"]["values"]["head.weight_lr"] == rate
        assert reported() == [f"{float(rate)}"]
        report, runs = checked(tmp_path)
        assert report.differences == report.unfinished == []
        assert report.counts == {"complete": 2}
        by_id = {run.run_id: run for run in runs}
        assert by_id[one.user_attrs["mlflow_run"]].params["head.weight_lr"] == f"{float(rate)}"

    for rate in (2, 5, 2, 5):
        ask(rate)
    assert (tmp_path / "log").read_text().split() == ["A", "B", "B"]
    ask(5, "rerun=true")
    ask(2)
    ask(5)
    # one that was cut off begins before the edit, and ends after it
    rows.write_text("rows:\n  A: {head.weight_lr: 1}\n  B: {head.weight_lr: 9}\n")
    cut_off(tmp_path, "sweep=mine", at="B")
    for rate in (7, 9, 7, 9):
        ask(rate)
    assert unfinished_trials(tracking, "mine") == []


@pytest.mark.parametrize("damaged", [2, 5])
@pytest.mark.parametrize("order", [(2, 5), pytest.param((2, 5, 2), marks=pytest.mark.whole)])
def test_a_repair_lets_no_other_trial_of_a_name_count(
    tmp_path: Path, rows: Path, order: tuple[int, ...], damaged: int
) -> None:
    config = composed(settings(tmp_path))
    for rate in order:
        rows.write_text(f"rows:\n  A: {{head.weight_lr: {rate}}}\n")
        sweep(tmp_path, "sweep=mine", instant=Instant(tmp_path / "log", files=True))
    for run in checked(tmp_path)[1]:
        if run.params["head.weight_lr"] == f"{float(damaged)}":
            # as by hand
            open_tracker(config).client.log_metric(run.run_id, "accuracy", 0.123)
    report, _ = checked(tmp_path)
    assert report.differences
    study, tracker = study_of(config), open_tracker(config)
    assert list(repair(study, tracker, report.findings))
    report, runs = checked(tmp_path)
    assert report.differences == []
    assert len([run for run in runs if not run.superseded]) == 2
    (one,) = study_of(config).current()
    (reported,) = read_trials(config.tracking, "mine")
    assert one.user_attrs["identity"]["values"]["head.weight_lr"] == order[-1]
    assert one.user_attrs["mlflow_run"] == reported.run_id


@dataclass
class Stopping(Instant):
    """Ends as by Ctrl-C while the trial of this name is under way."""

    stop_name: str = "#1"

    def _at(self, trial: PlannedTrial, place: str) -> None:
        if (trial.name, place) == (self.stop_name, "began"):
            raise KeyboardInterrupt


def test_a_search_draws_anew_what_was_cut_off_under_earlier_numerics(
    tmp_path: Path, earlier: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = (
        *("head.weight_lr=interval(1,30)", "budget.trials=3", "name=mine"),
        "trainer.batch_size=2",
    )
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, *search, instant=Stopping(tmp_path / "log", evaluations=2))
    earlier.undo()
    before, _ = checked(tmp_path)
    assert (before.unfinished, before.outdated) == ([], ["#1"])
    assert "does not resume it, but draws another in its place" in said_by_check(tmp_path, capsys)
    iterations = []
    for budget in ("budget.trials=1", "budget.trials=2", "budget.trials=3"):
        sweep(tmp_path, *search, budget, "dry_run=true")
        said = " ".join(capsys.readouterr().out.split())
        assert "1 tried, 1 under way or cut off" in said
        iterations += re.findall(r"at most (\d+) iterations", said) or ["nothing to run" in said]
    assert iterations[0] is True
    assert int(iterations[2]) == 2 * int(iterations[1]) > 0
    capsys.readouterr()
    sweep(tmp_path, *search, instant=Instant(tmp_path / "log", evaluations=3))
    assert "#1 was cut off, and its numbers would be others now" in capsys.readouterr().out
    report, runs = checked(tmp_path)
    assert report.unfinished == report.outdated == report.differences == []
    assert report.counts == {"complete": 3}
    counted = [run for run in runs if not run.superseded]
    assert Counter(run.state for run in counted) == {"finished": 3}
    assert len({run.name for run in counted}) == 3


def test_a_configuration_that_was_given_up_as_its_worker_was_killed_is_drawn_anew(
    tmp_path: Path, earlier: pytest.MonkeyPatch
) -> None:
    search = ("head.weight_lr=interval(1,30)", "budget.trials=3", "name=mine")
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, *search, instant=Stopping(tmp_path / "log", evaluations=2))
    earlier.undo()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SweepStudy, "void", killed)
        with pytest.raises(KeyboardInterrupt):
            sweep(tmp_path, *search, instant=Instant(tmp_path / "log", evaluations=2))
    sweep(tmp_path, *search, instant=Instant(tmp_path / "log", evaluations=2))
    report, runs = checked(tmp_path)
    assert report.unfinished == report.outdated == report.differences == []
    assert report.counts == {"complete": 3}
    assert Counter(run.state for run in runs if not run.superseded) == {"finished": 3}


def test_a_living_workers_trial_is_left_to_it_though_it_is_another_one_now(tmp_path: Path) -> None:
    sweeps = tmp_path / "sweeps"
    sweeps.mkdir()
    (sweeps / "mine.yaml").write_text("rows:\n  A: {head.weight_lr: 1}\n")
    gate = tmp_path / "gate"
    instant = Instant(tmp_path / "log", gate=gate)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        living = start(tmp_path, "sweep=mine", instant=instant)
        wait_for(instant.reached.exists, living)
        (sweeps / "mine.yaml").write_text("rows:\n  A: {head.weight_lr: 2}\n")
        sweep(tmp_path, "sweep=mine")
    gate.touch()
    living.join(120)
    assert living.exitcode == 0
    report, runs = checked(tmp_path)
    assert report.unfinished == report.differences == []
    assert [run.state for run in runs] == ["finished", "finished"]


def test_the_status_line_counts_what_is_planned_alone(
    tmp_path: Path, earlier: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(tmp_path, *RATES)
    earlier.undo()
    capsys.readouterr()
    sweep(tmp_path, *RATES)
    done = re.findall(r"mine: (\d) of 3 done", capsys.readouterr().out)
    assert done == ["1", "2", "3"]
    sweep(tmp_path, "head.weight_lr=1,4", "name=mine")
    assert re.findall(r"mine: (\d) of (\d) done", capsys.readouterr().out) == [("2", "2")]
    # what was recorded before is no progress of who runs all again, but what is resumed is
    cut_off(tmp_path, *RATES, "rerun=true", at=NAMES[1])
    capsys.readouterr()
    sweep(tmp_path, *RATES, "rerun=true")
    assert re.findall(r"mine: (\d) of 3 done", capsys.readouterr().out) == ["1", "2", "3"]


def test_figures_over_two_versions_of_the_numerics_say_so(
    tmp_path: Path, earlier: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = identity.NUMERICS_VERSION
    sweep(tmp_path, *RATES)
    earlier.undo()

    def shown() -> tuple[dict[str, int], bool]:
        capsys.readouterr()
        assert main(["show", "mine", f"tracking.dir={tmp_path / 'mlruns'}"]) == 0
        said = capsys.readouterr().out
        figures = json.loads(said[said.index("{") : said.rindex("}") + 1])
        return figures["trials by version of the numerics"], "mix" in " ".join(said.split())

    assert shown() == ({str(old): 3}, False)
    failing = Instant(tmp_path / "log", "began", NAMES[1])
    worker = start(tmp_path, *RATES, instant=failing)
    worker.join(120)
    assert shown() == ({str(old): 1, str(old + 1): 1}, True)
    sweep(tmp_path, *RATES)
    assert shown() == ({str(old + 1): 3}, False)


def test_a_check_says_what_becomes_of_a_row_that_was_cut_off_under_earlier_numerics(
    tmp_path: Path, earlier: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, *RATES, instant=Stopping(tmp_path / "log", stop_name=NAMES[1]))
    earlier.undo()
    assert "does not resume it, but runs it anew" in said_by_check(tmp_path, capsys)


def test_a_trial_that_was_begun_anew_is_told_until_it_has_a_result(
    tmp_path: Path, earlier: pytest.MonkeyPatch
) -> None:
    sweep(tmp_path, *RATES)
    earlier.undo()
    tracking = composed(settings(tmp_path)).tracking
    cut_off(tmp_path, *RATES, at=NAMES[1])
    assert [trial.name for trial in unfinished_trials(tracking, "mine")] == [NAMES[1]]
    sweep(tmp_path, *RATES)
    assert unfinished_trials(tracking, "mine") == []


def test_a_row_that_is_edited_back_counts_after_optunas_store_was_lost(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = composed(settings(tmp_path))
    instant = Instant(tmp_path / "log", files=True)
    for rate in (1, 5, 7, 1):
        rows.write_text(f"rows:\n  A: {{head.weight_lr: {rate}}}\n  B: {{head.weight_lr: 3}}\n")
        sweep(tmp_path, "sweep=mine", instant=instant)
    for file in (tmp_path / "mlruns").glob("optuna.db*"):
        file.unlink()

    def counted() -> object:
        (one,) = [each for each in study_of(config).current() if each.user_attrs["name"] == "A"]
        shown = [run for run in read_trials(config.tracking, "mine") if run.name == "A"]
        assert [run.run_id for run in shown] == [one.user_attrs["mlflow_run"]]
        return one.user_attrs["identity"]["values"]["head.weight_lr"]

    # what is lost with the store is what was asked for: by MLflow the first one counted
    rows.write_text("rows:\n  A: {head.weight_lr: 5}\n  B: {head.weight_lr: 3}\n")
    sweep(tmp_path, "sweep=mine", instant=instant)
    assert counted() == 5
    report, _ = checked(tmp_path)
    assert report.differences == []
    assert len(report.earlier) == 2
    capsys.readouterr()
    assert main(["check", f"tracking.dir={tmp_path / 'mlruns'}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is of that row before it was edited; Optuna's part of it is lost" in said
    assert "Optuna and MLflow agree" in said
    for rate in (7, 1, 5):
        rows.write_text(f"rows:\n  A: {{head.weight_lr: {rate}}}\n  B: {{head.weight_lr: 3}}\n")
        sweep(tmp_path, "sweep=mine", instant=instant)
        assert counted() == rate
    assert checked(tmp_path)[0].earlier == []
    assert len((tmp_path / "log").read_text().split()) == 4


def test_a_check_finds_that_a_report_shows_another_trial_of_a_name(
    tmp_path: Path, rows: Path
) -> None:
    config = composed(settings(tmp_path))
    for rate in (1, 5):
        rows.write_text(f"rows:\n  A: {{head.weight_lr: {rate}}}\n")
        sweep(tmp_path, "sweep=mine", instant=Instant(tmp_path / "log", files=True))
    # as records of earlier versions may be: MLflow alone was told that the first one counts
    first, last = checked(tmp_path)[1]
    tracker = open_tracker(config)
    count_again(tracker, first.run_id)
    report, _ = checked(tmp_path)
    (text,) = report.differences
    assert text == f"A: a report shows run {first.run_id}, and Optuna has {last.run_id}"
    assert list(repair(study_of(config), tracker, report.findings))
    assert checked(tmp_path)[0].differences == []
    (shown,) = read_trials(config.tracking, "mine")
    assert shown.run_id == last.run_id
    count_again(tracker, first.run_id)
    sweep(tmp_path, "sweep=mine")
    assert checked(tmp_path)[0].differences == []
