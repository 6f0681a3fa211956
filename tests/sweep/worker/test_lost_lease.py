"""A worker that another one took for dead stops writing at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine, text
from stores import begin_with_tables
from sweep_processes import at_work, start, wait_for

from mcalc.sqlite_file import url_of
from mcalc.tracking.places import database_uri

LAST = 600
"""A minute of training, where the lease is lost after a second of it."""


@pytest.mark.whole
def test_training_stops_at_the_next_evaluation_and_writes_nothing_more(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    begin_with_tables(runs)
    worker = start(
        "seed=0,1", f"tracking.dir={runs}", f"trainer.max_iterations={LAST}",
        "trainer.max_epochs=100000", "trainer.val_every=1", "tracking.checkpoint_minutes=0.001",
        log=tmp_path / "log",
    )  # fmt: skip
    storage = url_of(runs / "optuna.db")
    try:
        client = MlflowClient(tracking_uri=database_uri(runs))

        def steps() -> list[int]:
            experiment = client.get_experiment_by_name("mcalc")
            assert experiment is not None
            tags = "tags.`mcalc.kind` = 'trial'"
            return [
                each.step
                for run in client.search_runs([experiment.experiment_id], tags)
                for each in client.get_metric_history(run.info.run_id, "training/val_loss")
            ]

        wait_for(lambda: at_work(storage), worker)
        wait_for(lambda: len(steps()) > 3, worker)
        engine = create_engine(storage)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE mcalc_claims SET token = 'taken', host = 'elsewhere' "
                    "WHERE work <> 'parent run'"
                )
            )
        engine.dispose()
        # a draft of the next one may lie beside it
        (checkpoint,) = (runs / "checkpoints").glob("*.pth")
        assert worker.ended() != 0
    finally:
        worker.process.kill()
    assert "took this one for dead" in worker.printed()
    written = steps()
    assert len(written) == len(set(written)), "no evaluation is written twice"
    # what was not written yet is lost with the lease, so the end itself would not be seen
    assert max(written) < LAST / 2, "it did not train on"
    (experiment,) = client.search_experiments(filter_string="name = 'mcalc'")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`mcalc.kind` = 'trial'")
    assert run.info.status == "RUNNING", "the other worker closes it"
    assert checkpoint.is_file(), "the other worker resumes from it"
    assert list((runs / "checkpoints").iterdir()) == [checkpoint]
