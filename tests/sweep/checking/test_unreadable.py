"""A record with rows that Optuna or MLflow cannot read, or that stand beside a run."""

from __future__ import annotations

import io
import shutil
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import engine
import optuna
import pytest
import small_record
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from mcalc.config import TrackingConfig
from mcalc.errors import UserError
from mcalc.sweep.__main__ import main
from mcalc.sweep.store import Storage, SweepStudy, remove_unreadable_rows, unreadable_rows
from mcalc.tracking.reader import read_trials
from mcalc.tracking.removal import Removal
from mcalc.tracking.tracker import Tracker

ROWS = ("head.weight_lr=1,10", "stopping.patience=null", "seed=0", "name=mine")
SEARCH = ("head.weight_lr=interval(1,30)", "budget.trials=2", "name=tries")
FIRST = "(SELECT min(trial_id) FROM trials JOIN studies USING (study_id) WHERE study_name = '{}')"
EXPLICIT, SEARCHED = FIRST.format("mine"), FIRST.format("tries")
RUN = "(SELECT min(run_uuid) FROM tags WHERE key = 'mcalc.kind' AND value = 'trial')"
PARENT = "(SELECT run_uuid FROM tags WHERE key = 'mcalc.sweep_id' AND value = 'mine' LIMIT 1)"

MLFLOW = {
    "no start": f"UPDATE runs SET start_time = NULL WHERE run_uuid = {RUN}",
    "no status": f"UPDATE runs SET status = NULL WHERE run_uuid = {RUN}",
    "another status": f"UPDATE runs SET status = 'KILLED' WHERE run_uuid = {RUN}",
    "no stage": f"UPDATE runs SET lifecycle_stage = NULL WHERE run_uuid = {RUN}",
    "no address": f"UPDATE runs SET artifact_uri = NULL WHERE run_uuid = {RUN}",
    "a strange address": f"UPDATE runs SET artifact_uri = 'file:///a/b' WHERE run_uuid = {RUN}",
    "another experiment": f"UPDATE runs SET experiment_id = 0 WHERE run_uuid = {RUN}",
    "no experiment": f"UPDATE runs SET experiment_id = 77 WHERE run_uuid = {RUN}",
    "name of the page": "UPDATE tags SET value = 'AL9' "
    f"WHERE run_uuid = {RUN} AND key = 'mlflow.runName'",
    "a tag more": f"INSERT INTO tags SELECT 'mcalc.from_run', 'x', {RUN}",
    "no tags": f"DELETE FROM tags WHERE run_uuid = {RUN}",
    "the parent's name": f"UPDATE runs SET name = 'other' WHERE run_uuid = {PARENT}",
    "the parent's kind": "UPDATE tags SET value = 'trial' "
    f"WHERE run_uuid = {PARENT} AND key = 'mcalc.kind'",
    "the parent's title": "UPDATE tags SET value = 'other' "
    f"WHERE run_uuid = {PARENT} AND key = 'mcalc.sweep'",
}
OPTUNA = {
    "no value": f"UPDATE trial_values SET value = NULL WHERE trial_id = {EXPLICIT}",
    "a second value": "INSERT INTO trial_values (trial_id, objective, value, value_type) "
    f"SELECT {EXPLICIT}, 1, 0.5, 'FINITE'",
    "an attribute that is no JSON": "UPDATE trial_user_attributes SET value_json = '{' "
    f"WHERE trial_id = {EXPLICIT} AND key = 'result'",
    "a result that is a list": "UPDATE trial_user_attributes SET value_json = '[1]' "
    f"WHERE trial_id = {EXPLICIT} AND key = 'result'",
    "no result": f"DELETE FROM trial_user_attributes WHERE trial_id = {EXPLICIT} "
    "AND key = 'result'",
    "no digest": f"DELETE FROM trial_user_attributes WHERE trial_id = {EXPLICIT} "
    "AND key = 'manifest'",
    "no key": f"DELETE FROM trial_user_attributes WHERE trial_id = {EXPLICIT} AND key = 'key'",
    "a range that is no JSON": "UPDATE trial_params SET distribution_json = '{' "
    f"WHERE trial_id = {SEARCHED}",
    "a parameter of a search": "UPDATE trial_params SET param_value = 7 "
    f"WHERE trial_id = {SEARCHED}",
    "no parameter of a search": f"DELETE FROM trial_params WHERE trial_id = {SEARCHED}",
    "an ended search's state": f"UPDATE trials SET state = 'PRUNED' WHERE trial_id = {SEARCHED}",
    "a study's name": "UPDATE studies SET study_name = 'other' WHERE study_name = 'mine'",
}


def changed(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        connection.commit()


def values(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Of each sweep, what counts of its trials in Optuna."""
    storage = Storage(f"sqlite:///{folder / 'optuna.db'}", 0)
    studies = [SweepStudy.find(storage, name) for name in ("mine", "tries")]
    return {
        study.name: sorted(
            (str(a.user_attrs["name"]), str(a.user_attrs["key"]), a.value, str(a.params), a.state)
            for a in study.attempts()
        )
        for study in studies
        if study
    }


def figures(folder: Path) -> set[tuple[str, float]]:
    return {
        (trial.name, trial.metrics["accuracy"])
        for sweep in ("mine", "tries")
        for trial in read_trials_of(folder, sweep)
    }


def read_trials_of(folder: Path, sweep: str) -> list[SimpleNamespace]:
    tracker = Tracker(folder, "mcalc")
    (parent,) = tracker._search({"mcalc.kind": "sweep", "mcalc.sweep": sweep})
    runs = tracker.runs_of(parent.info.run_id)
    return [
        SimpleNamespace(name=run.name, metrics=run.metrics)
        for run in runs
        if run.state == "finished" and not run.superseded
    ]


def check(folder: Path, *words: str) -> tuple[int, str]:
    """Exit status of `python -m mcalc.sweep check`, in this process, and what it printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        status = main(["check", *words, f"tracking.dir={folder}"])
    return status, printed.getvalue()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    engine.sweep(folder, *ROWS)
    engine.sweep(folder, *SEARCH, instant=engine.Instant(folder / "log", evaluations=3))
    return folder / "mlruns"


Facts = tuple[dict[str, list[tuple[object, ...]]], set[tuple[str, float]]]


def facts(folder: Path) -> Facts:
    """What both stores say of the trials that count."""
    return values(folder), figures(folder)


@pytest.fixture(scope="module")
def before(original: Path) -> Facts:
    return facts(original)


@pytest.fixture
def record(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "mlruns")
    Tracker(tmp_path / "mlruns", "mcalc")  # its addresses name the copy
    return tmp_path / "mlruns"


@pytest.mark.whole
@pytest.mark.parametrize("change", [*MLFLOW, *OPTUNA])
def test_a_changed_row_is_found_and_mended(record: Path, before: Facts, change: str) -> None:
    database = "mlflow.db" if change in MLFLOW else "optuna.db"
    changed(record / database, {**MLFLOW, **OPTUNA}[change])
    status, printed = check(record)
    assert status == 1, printed
    assert not list(record.glob("*before-repair*")), "a look changes nothing"
    status, printed = check(record, "repair=true")
    assert status == 0, printed
    assert (record / "mlflow.db.before-repair-1").is_file()
    assert (record / "optuna.db.before-repair-1").is_file()
    assert check(record)[0] == 0
    assert facts(record) == before


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A database of Optuna's with a study of three trials."""
    storage = Storage(f"sqlite:///{tmp_path / 'optuna.db'}", 0)
    made = optuna.create_study(storage=storage.optuna, study_name="three")
    for value in range(3):
        space = {"x": FloatDistribution(0, 3)}
        made.add_trial(
            optuna.create_trial(value=value, params={"x": float(value)}, distributions=space)
        )
    return tmp_path / "optuna.db"


def numbers(database: Path) -> list[tuple[int, TrialState]]:
    storage = Storage(f"sqlite:///{database}", 0)
    found = SweepStudy.find(storage, "three")
    assert found is not None
    return [(trial.number, trial.state) for trial in found.study.get_trials()]


def test_a_number_that_is_taken_twice_is_one_entrys(study: Path) -> None:
    changed(study, "UPDATE trials SET number = 1 WHERE number = 0")
    assert unreadable_rows(study)
    remove_unreadable_rows(study)
    assert not unreadable_rows(study)
    assert [number for number, _ in numbers(study)] == [0, 1, 2]


def test_an_entry_that_is_gone_leaves_its_number(study: Path) -> None:
    changed(study, "DELETE FROM trials WHERE number = 0")
    remove_unreadable_rows(study)
    found = sorted(numbers(study))
    assert [number for number, _ in found] == [0, 1, 2]
    assert found[0][1] is TrialState.FAIL, "nothing is invented for it"


def test_a_run_that_mlflow_cannot_read_is_one_sentence(tmp_path: Path) -> None:
    small_record.record(Tracker(tmp_path, "mcalc"), "one", "k1")
    changed(tmp_path / "mlflow.db", "UPDATE runs SET start_time = NULL")
    with pytest.raises(UserError, match="MLflow cannot read a run of the record"):
        read_trials(TrackingConfig(dir=str(tmp_path)))


def test_files_are_those_of_the_run_whatever_its_address(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, "mcalc")
    for name in ("one", "two"):
        small_record.record(tracker, name, name)
    last = "(SELECT artifact_uri FROM runs WHERE name = 'two')"
    changed(tmp_path / "mlflow.db", f"UPDATE runs SET artifact_uri = {last} WHERE name = 'one'")
    one, two = (tmp_path / "artifacts" / run.run_id for run in tracker.single_runs()[::-1])
    (two / "artifacts" / "curve.csv").unlink()
    assert one != two
    by_name = {trial.name: trial for trial in read_trials(TrackingConfig(dir=str(tmp_path)))}
    assert by_name["one"].curve == small_record.CURVE


@pytest.mark.parametrize(("names", "said"), [("a", "1, as it was"), ("ab", "2, as they were")])
def test_runs_of_no_sweep_that_are_whole_are_told(
    tmp_path: Path, names: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        small_record.record(Tracker(tmp_path, "mcalc"), name, name)
    assert main(["check", f"tracking.dir={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert f"runs of no sweep: {said} when closed\n" in printed
    assert f"checked in {tmp_path}" in " ".join(printed.split())


@pytest.mark.parametrize("how", ["a figure", "a file"])
def test_a_run_of_no_sweep_is_checked(tmp_path: Path, how: str) -> None:
    record = tmp_path / "mlruns"
    tracker = Tracker(record, "mcalc")
    run_id = small_record.record(tracker, "one", "k1")
    if how == "a figure":
        changed(
            record / "mlflow.db",
            "UPDATE latest_metrics SET value = 1 WHERE key = 'result/accuracy'",
        )
    else:
        (record / "artifacts" / run_id / "artifacts" / "predictions.csv").write_text("lesion\n")
    status, printed = check(record)
    assert status == 1, printed
    assert run_id in printed
    status, printed = check(record, "repair=true")
    assert status == 0, printed
    assert (record / "mlflow.db.before-repair-1").is_file()
    assert check(record)[0] == 0
    left = tracker.finished("k1")
    assert (left is not None) == (how == "a figure"), "a run without its files is run again"
    assert left is None or left.metrics["accuracy"] == 2 / 3


@pytest.mark.whole
def test_a_repair_that_was_killed_after_a_run_was_written_anew_goes_on(
    record: Path, before: Facts
) -> None:
    tracker = Tracker(record, "mcalc")
    found = SweepStudy.find(Storage(f"sqlite:///{record / 'optuna.db'}", 0), "mine")
    assert found is not None
    attempt, *_ = found.attempts()
    noted = attempt.user_attrs
    tracker.rewrite(noted["mlflow_run"], noted["manifest"], found.parent())
    status, printed = check(record, "repair=true")
    assert status == 0, printed
    assert check(record)[0] == 0
    assert facts(record) == before


def test_a_removal_touches_nothing_outside_the_record(tmp_path: Path) -> None:
    record, other = tmp_path / "mlruns", tmp_path / "other"
    tracker = Tracker(record, "mcalc")
    parent = tracker.open_sweep("mine", "mine", {})
    run_id = small_record.record(tracker, "one", "k1", parent)
    kept = other / "artifacts" / run_id / "artifacts" / "curve.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("of another record")
    address = (other / "artifacts" / run_id / "artifacts").as_uri()
    changed(record / "mlflow.db", f"UPDATE runs SET artifact_uri = '{address}' WHERE name = 'one'")
    removal = Removal(tracker)
    for run in removal.of_sweep(parent):
        removal.remove(run)
    assert kept.read_text() == "of another record"
    assert not (record / "artifacts" / run_id).exists()


@pytest.mark.whole
def test_a_study_that_was_lost_is_said_and_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.sweep(tmp_path, *ROWS)
    record = tmp_path / "mlruns"
    for file in record.glob("optuna.db*"):
        file.unlink()
    assert main(["check", f"tracking.dir={record}"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "mine: MLflow has 2 finished runs of this sweep, and Optuna has no such study" in said
    # another sweep makes the store anew
    engine.sweep(tmp_path, "head.weight_lr=3,4", "name=other")
    assert main(["check", f"tracking.dir={record}"]) == 1
    assert main(["check", "repair=true", f"tracking.dir={record}"]) == 0
    assert main(["check", f"tracking.dir={record}"]) == 0
    assert "mine: MLflow has 2 finished runs" in capsys.readouterr().out
    engine.sweep(tmp_path, *ROWS)
    assert (tmp_path / "log").read_text().split() == [
        "head.weight_lr=1", "head.weight_lr=10", "head.weight_lr=3", "head.weight_lr=4",
    ]  # fmt: skip
    assert main(["check", f"tracking.dir={record}"]) == 0
