"""A record that was changed afterwards: the check finds it, repair mends what can be mended."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import processes
import pytest
import sweep_processes
from stores import begin_with_tables

from mcalc.sweep.__main__ import main
from mcalc.tracking.tracker import Tracker

EXPLICIT = ("head.weight_lr=1,10", "stopping.patience=null", "seed=0")
SEARCH = ("head.weight_lr=interval(1,30)", "budget.trials=2", "name=tries")

pytestmark = [pytest.mark.whole, pytest.mark.xdist_group("corruptions")]

Change = Callable[["Record"], None]
Facts = tuple[dict[str, dict[str, str]], set[tuple[str, str, str]]]


@dataclass(frozen=True)
class Done:
    """An ended command."""

    status: int
    printed: str


class Record:
    """A copy of a recorded sweep of two trials and a search of two, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def mlflow(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            yield database
            database.commit()

    @contextmanager
    def optuna(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "optuna.db")) as database:
            yield database
            database.commit()

    def runs(self, search: bool = False) -> list[str]:
        """MLflow runs of the trials of one of the sweeps, in their order."""
        query = """
            SELECT a.value_json FROM trial_user_attributes a JOIN trials t USING (trial_id)
            JOIN studies s USING (study_id)
            WHERE a.key = 'mlflow_run' AND (s.study_name LIKE 'tries%') = ? ORDER BY t.number"""
        with self.optuna() as database:
            return [json.loads(value) for (value,) in database.execute(query, (search,))]

    def trial(self, search: bool = False) -> int:
        """Optuna's id of the first trial."""
        query = """
            SELECT min(trial_id) FROM trials JOIN studies USING (study_id)
            WHERE (study_name LIKE 'tries%') = ?"""
        with self.optuna() as database:
            return int(database.execute(query, (search,)).fetchone()[0])

    def files(self, run: str) -> Path:
        return self.folder / "artifacts" / run / "artifacts"

    def command(self, *words: str) -> Done:
        """A command in a process of its own, which knows only what is on the disk."""
        done = processes.run(
            "mcalc.sweep", *words, f"tracking.dir={self.folder}", folder=self.folder
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def here(self, *words: str) -> Done:
        """The same in this process; an error that is not ours fails the test."""
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            try:
                status = main([*words, f"tracking.dir={self.folder}"])
            except SystemExit as left:
                status = int(left.code or 0)
        return Done(status, printed.getvalue())

    def again(self, *arguments: str) -> str:
        """What the command that made the sweep prints, given again."""
        log = self.folder.parent / f"{self.folder.name}.log"
        worker = sweep_processes.start(*arguments, f"tracking.dir={self.folder}", log=log)
        assert worker.ended() == 0, worker.printed()
        return worker.printed()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    runs = folder / "runs"
    begin_with_tables(runs)
    for number, arguments in enumerate((EXPLICIT, SEARCH)):
        worker = sweep_processes.start(
            *arguments, f"tracking.dir={runs}", log=folder / f"log-{number}"
        )
        assert worker.ended() == 0, worker.printed()
    return runs


@pytest.fixture
def record(original: Path, tmp_path: Path) -> Record:
    shutil.copytree(original, tmp_path / "runs")
    return Record(tmp_path / "runs")


def metric(name: str, search: bool = False) -> Change:
    def change(record: Record) -> None:
        (run, *_) = record.runs(search)
        with record.mlflow() as database:
            for table in ("metrics", "latest_metrics"):
                done = database.execute(
                    f"UPDATE {table} SET value = value + 0.001 WHERE run_uuid = ? AND key = ?",
                    (run, f"result/{name}"),
                )
                assert done.rowcount == 1

    return change


def mlflow(statement: str, which: int = 0) -> Change:
    def change(record: Record) -> None:
        with record.mlflow() as database:
            assert database.execute(statement, {"run": record.runs()[which]}).rowcount > 0

    return change


def optuna(statement: str, search: bool = False) -> Change:
    def change(record: Record) -> None:
        trial = record.trial(search)
        with record.optuna() as database:
            assert database.execute(statement, {"trial": trial}).rowcount > 0

    return change


def file(name: str, how: str) -> Change:
    def change(record: Record) -> None:
        place = record.files(record.runs()[0]) / name
        if how == "remove":
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        else:
            content = bytearray(place.read_bytes())
            content[len(content) // 2] ^= 1
            place.write_bytes(content)

    return change


def swap_runs(record: Record) -> None:
    """Two trials in Optuna name each other's runs."""
    one, other = record.runs()
    with record.optuna() as database:
        for before, after in ((one, "x"), (other, one), ("x", other)):
            database.execute(
                "UPDATE trial_user_attributes SET value_json = ? "
                "WHERE key = 'mlflow_run' AND value_json = ?",
                (json.dumps(after), json.dumps(before)),
            )


def swap_figures(record: Record) -> None:
    """Two trials in Optuna have each other's values and results."""
    first = record.trial()
    with record.optuna() as database:
        for table, where in (
            ("trial_values", ""),
            ("trial_user_attributes", "AND key IN ('result', 'manifest', 'mlflow_run')"),
        ):
            for before, after in ((first, -1), (first + 1, first), (-1, first + 1)):
                database.execute(
                    f"UPDATE {table} SET trial_id = ? WHERE trial_id = ? {where}", (after, before)
                )


def swap_in_mlflow(record: Record) -> None:
    """Two runs have each other's figures."""
    one, other = record.runs()
    with record.mlflow() as database:
        for table in ("metrics", "latest_metrics"):
            for before, after in ((one, "x"), (other, one), ("x", other)):
                database.execute(
                    f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (after, before)
                )


PARENT = "(SELECT value FROM tags WHERE key = 'mlflow.parentRunId' AND run_uuid = :run)"
MENDED: dict[str, Change] = {
    "accuracy in MLflow": metric("accuracy"),
    "AUC in MLflow": metric("auc"),
    "a bound in MLflow": metric("accuracy_low"),
    "objective of a search in MLflow": metric("reported_val_auc", search=True),
    "true positives in MLflow": metric("tp"),
    "one point of the history": mlflow(
        "UPDATE metrics SET value = value + 1 WHERE run_uuid = :run AND key = 'training/val_loss' "
        "AND step = 2"
    ),
    "the last point alone": mlflow(
        "UPDATE latest_metrics SET value = value + 1 WHERE run_uuid = :run "
        "AND key = 'training/val_loss'"
    ),
    "a point more": mlflow(
        "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
        "VALUES ('training/val_loss', 0.1, 1, :run, 999, 0)"
    ),
    "a point less": mlflow(
        "DELETE FROM metrics WHERE run_uuid = :run AND key = 'training/val_accuracy' AND step = 4"
    ),
    "a history gone": mlflow(
        "DELETE FROM metrics WHERE run_uuid = :run AND key = 'training/train_loss'"
    ),
    "a metric gone": mlflow(
        "DELETE FROM latest_metrics WHERE run_uuid = :run AND key = 'result/auc'"
    ),
    "a metric more": mlflow(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
        "VALUES ('accuracy_better', 0.99, 1, 0, 0, :run)"
    ),
    "key in MLflow": mlflow(
        "UPDATE tags SET value = 'abcdef' WHERE run_uuid = :run AND key = 'mcalc.key'"
    ),
    "fingerprint in MLflow": mlflow(
        "UPDATE tags SET value = 'abcdef' WHERE run_uuid = :run AND key = 'mcalc.fingerprint'"
    ),
    "warnings in MLflow": mlflow(
        "UPDATE tags SET value = '[]' WHERE run_uuid = :run AND key = 'mcalc.warnings'"
    ),
    "digest in MLflow": mlflow(
        "UPDATE tags SET value = 'abcdef' WHERE run_uuid = :run AND key = 'mcalc.manifest'"
    ),
    "a parameter in MLflow": mlflow(
        "UPDATE params SET value = '2.0' WHERE run_uuid = :run AND key = 'head.weight_lr'"
    ),
    "a parameter gone": mlflow("DELETE FROM params WHERE run_uuid = :run AND key = 'seed'"),
    "name in MLflow": mlflow("UPDATE runs SET name = 'AL9' WHERE run_uuid = :run"),
    "state in MLflow": mlflow("UPDATE runs SET status = 'FAILED' WHERE run_uuid = :run"),
    "a trial deleted in MLflow": mlflow(
        "UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = :run"
    ),
    "the parent deleted in MLflow": mlflow(
        f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = {PARENT}"
    ),
    "a trial of another parent": mlflow(
        "UPDATE tags SET value = 'abc' WHERE run_uuid = :run AND key = 'mlflow.parentRunId'"
    ),
    "figures swapped in MLflow": swap_in_mlflow,
    "value in Optuna": optuna("UPDATE trial_values SET value = 0.99 WHERE trial_id = :trial"),
    "a last digit of the value in Optuna": optuna(
        "UPDATE trial_values SET value = value + 0.0000001 WHERE trial_id = :trial"
    ),
    "value of a search in Optuna": optuna(
        "UPDATE trial_values SET value = 0.99 WHERE trial_id = :trial", search=True
    ),
    "result in Optuna": optuna(
        "UPDATE trial_user_attributes SET value_json = '{\"auc\": 0.99}' "
        "WHERE trial_id = :trial AND key = 'result'"
    ),
    "an evaluation in Optuna": optuna(
        "UPDATE trial_intermediate_values SET intermediate_value = 0.99 "
        "WHERE trial_id = :trial AND step = 2",
        search=True,
    ),
    "an evaluation gone in Optuna": optuna(
        "DELETE FROM trial_intermediate_values WHERE trial_id = :trial AND step = 1", search=True
    ),
}
"""What the other store, or the run's own files, still have."""
RUN_AGAIN: dict[str, Change] = {
    "predictions gone": file("predictions.csv", "remove"),
    "predictions changed": file("predictions.csv", "change"),
    "curve changed": file("curve.csv", "change"),
    "settings gone": file("config.yaml", "remove"),
    "pictures gone": file("crops", "remove"),
    "a picture changed": file("confusion.png", "change"),
    "manifest gone": file("manifest.json", "remove"),
    "manifest changed": file("manifest.json", "change"),
    "runs swapped in Optuna": swap_runs,
    "all figures swapped in Optuna": swap_figures,
    "key in Optuna": optuna(
        "UPDATE trial_user_attributes SET value_json = '\"abcdef\"' "
        "WHERE trial_id = :trial AND key = 'key'"
    ),
    "name in Optuna": optuna(
        "UPDATE trial_user_attributes SET value_json = '\"AL9\"' "
        "WHERE trial_id = :trial AND key = 'name'"
    ),
    "settings in Optuna": optuna(
        "UPDATE trial_user_attributes SET value_json = replace(value_json, '1.0', '2.0') "
        "WHERE trial_id = :trial AND key = 'identity'"
    ),
}
"""After repair, the same command runs them again or takes over what is finished."""


def data_sets(folder: Path) -> set[tuple[str, str, str]]:
    """What each run that counts was trained on: name of the trial, of the data, digest."""
    tracker = Tracker(folder, "mcalc")
    return {
        (str(run.info.run_name), each.dataset.name, each.dataset.digest)
        for run in tracker._search({"mcalc.kind": "trial"}, state="FINISHED")
        if "mcalc.superseded_by" not in run.data.tags
        for each in run.inputs.dataset_inputs
    }


@pytest.fixture(scope="module")
def before(original: Path) -> Facts:
    return facts(original)


def facts(folder: Path) -> Facts:
    """What a record says of its trials that count."""
    return sweep_processes.predictions(folder), data_sets(folder)


@pytest.mark.parametrize("name", MENDED)
def test_what_can_be_mended_is(record: Record, before: Facts, name: str) -> None:
    MENDED[name](record)
    found = record.here("check")
    assert found.status == 1, found.printed
    assert "repair=true:" in found.printed
    mended = record.here("check", "repair=true")
    assert mended.status == 0, mended.printed
    assert list(record.folder.glob("mlflow.db.before-repair-1"))
    assert record.here("check").status == 0
    assert facts(record.folder) == before


@pytest.mark.parametrize("name", RUN_AGAIN)
def test_what_cannot_be_mended_runs_again(record: Record, before: Facts, name: str) -> None:
    RUN_AGAIN[name](record)
    found = record.here("check")
    assert found.status == 1, found.printed
    mended = record.here("check", "repair=true")
    assert mended.status == 0, mended.printed
    record.again(*EXPLICIT)
    after = record.here("check")
    assert after.status == 0, after.printed
    assert facts(record.folder) == before


def test_a_whole_record_is_found_whole(record: Record) -> None:
    assert record.command("check").status == 0
    mended = record.command("check", "repair=true")
    assert mended.status == 0
    assert not list(record.folder.glob("*before-repair*")), "nothing was to be copied"


@pytest.mark.parametrize("database", ["mlflow.db", "optuna.db"])
@pytest.mark.parametrize("how", ["cut", "foreign", "zeros"])
def test_a_damaged_database_is_set_aside_and_nothing_is_trained_again(
    record: Record, before: Facts, database: str, how: str
) -> None:
    place = record.folder / database
    with closing(sqlite3.connect(place)) as whole:
        # pages in its log would mend the file
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = place.read_bytes()
    damaged = {
        "cut": content[: len(content) // 3],
        "foreign": b"no database at all\n" * 1000,
        "zeros": content[:8192] + bytes(16384) + content[24576:],
    }
    place.write_bytes(damaged[how])
    found = record.here("check")
    assert found.status in (1, 2), found.printed
    assert database in found.printed
    assert place.read_bytes() == damaged[how]
    record.here("check", "repair=true")
    assert (record.folder / f"{database}.damaged-1").read_bytes() == damaged[how]
    printed = record.again(*EXPLICIT)
    assert "accuracy 0" not in printed, "the sweep's trials are taken over as they are"
    assert record.here("check").status == 0
    assert facts(record.folder) == before
