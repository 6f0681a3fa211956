"""What a user sees of a record in MLflow: the view that opens, its columns, and its parameters."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from page_driver import CHROMIUM, page
from servers import served
from small_record import record
from stores import begin_with_tables

from mcalc.config import TrackingConfig
from mcalc.results import CurvePoint
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import Tracker
from mcalc.tracking.view import write_view

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"head.weight_lr": 1.0, "seed": 0, "data.region": "crop", "trainer.lr": 0.001}
SHOWN = ("head.weight_lr", "seed")
CURVE = [CurvePoint(i, i / 2, 0.7, 0.5, 0.6, 0.5, 0.5 + i / 100) for i in (1, 2, 3)]


def trial(tracker: Tracker, rate: float, seed: int, parent: str | None, **more: float) -> str:
    """A finished trial; returns its run."""
    settings = {**SETTINGS, "head.weight_lr": rate, "seed": seed}
    name = f"head.weight_lr={rate:g}, seed={seed}"
    writer = tracker.open_trial(
        name, f"{rate} {seed}", settings, {}, parent, shown=SHOWN, configuration=f"rate {rate:g}"
    )
    for point in CURVE:
        writer.point(point)
    writer.data_set("phantom", "abc123")
    figures = {"accuracy": 0.5 + rate / 100, "accuracy_low": 0.4, "accuracy_high": 0.7}
    writer.finish({**figures, "auc": 0.6, "size_auc": 0.71, "majority_rate": 0.55, **more}, {})
    return writer.run_id


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    begin_with_tables(tmp_path / "mlruns")
    return Tracker(tmp_path / "mlruns", "mcalc")


def state_of(tracker: Tracker) -> dict[str, Any]:
    """The state that MLflow's page takes from the experiment."""
    write_view(tracker.client, tracker.experiment_id)
    tags = tracker.client.get_experiment(tracker.experiment_id).tags
    kept = tags["mlflow.sharedViewState.mcalc"]
    assert kept.startswith("deflate;")
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(kept[8:])))
    return state


def test_a_run_shows_figures_in_sections_and_the_parameters_that_were_set(tracker: Tracker) -> None:
    parent = tracker.open_sweep("mine", "mine", {})
    run = tracker.client.get_run(trial(tracker, 1, 0, parent))
    assert run.data.params == {"head.weight_lr": "1", "seed": "0", "configuration": "rate 1"}
    assert {name.partition("/")[0] for name in run.data.metrics} == {"result", "training"}
    assert run.data.metrics["training/val_loss"] == 0.6
    (entry,) = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("phantom", "abc123")
    assert "/" not in entry.dataset.source, "a path may name a person"


def test_what_reads_a_record_finds_all_settings_and_the_baselines(
    tracker: Tracker, tmp_path: Path
) -> None:
    parent = tracker.open_sweep("mine", "mine", {})
    trial(tracker, 1, 0, parent)
    (found,) = tracker.runs_of(parent)
    assert found.params == {name: str(value) for name, value in SETTINGS.items()} | {
        "head.weight_lr": "1"
    }
    assert found.metrics["accuracy"] == 0.51
    # of a sweep's trial they are in a file, of a single one among its metrics
    assert "size_auc" not in found.metrics
    single = tracker.client.get_run(trial(tracker, 2, 0, None))
    assert single.data.metrics["without_image/size_auc"] == 0.71
    assert tracker.inspect(found.run_id).problems == []


def test_long_settings_are_kept_whole(tracker: Tracker) -> None:
    long = {f"setting {number}": "ä" * 100 for number in range(150)}
    writer = tracker.open_trial("one", "k", long, {}, "parent", shown=())
    writer.finish({}, {})
    (found,) = tracker.runs_of("parent")
    assert found.params == long


def test_the_view_has_accuracy_with_interval_auc_and_what_varies_by_name(tracker: Tracker) -> None:
    for rate in (1, 10):
        for seed in (0, 1):
            trial(tracker, rate, seed, None)
    state = state_of(tracker)
    names = [column.partition(".")[2].strip("`") for column in state["selectedColumns"]]
    figures = [f"result/{name}" for name in ("accuracy", "accuracy_low", "accuracy_high", "auc")]
    assert names == [*figures, "head.weight_lr", "seed"]
    assert (state["orderByKey"], state["orderByAsc"]) == ("tags.`mlflow.runName`", True)


def test_the_view_of_several_sweeps_says_whose_a_trial_is(tracker: Tracker) -> None:
    for name in ("mine", "yours"):
        run = trial(tracker, 1, 0, tracker.open_sweep(name, name, {}))
        tracker.client.set_tag(run, "mcalc.sweep_id", name)
        first = state_of(tracker)["selectedColumns"][0]
        assert first == (
            "tags.`mcalc.sweep_id`" if name == "yours" else "metrics.`result/accuracy`"
        )


def test_the_view_ranks_by_validation_where_that_is_apart(tracker: Tracker) -> None:
    trial(tracker, 1, 0, None, validation_auc=0.6)
    state = state_of(tracker)
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`result/validation_auc`", False)


def test_the_view_of_an_earlier_version_has_its_names(tracker: Tracker) -> None:
    for rate in ("1", "10"):
        run = tracker.client.create_run(tracker.experiment_id, tags={"mcalc.kind": "trial"})
        tracker.client.log_param(run.info.run_id, "head.weight_lr", rate)
        tracker.client.log_metric(run.info.run_id, "accuracy", 0.5)
        tracker.client.set_terminated(run.info.run_id)
    assert state_of(tracker)["selectedColumns"] == ["metrics.`accuracy`", "params.`head.weight_lr`"]


def test_a_record_made_before_sections_reads_as_one_made_now(
    tracker: Tracker, tmp_path: Path
) -> None:
    run_id = trial(tracker, 1, 0, None)
    # as an earlier version wrote them
    old = tracker.client.create_run(tracker.experiment_id, tags={"mcalc.kind": "trial"})
    for name, value in tracker.client.get_run(run_id).data.metrics.items():
        tracker.client.log_metric(old.info.run_id, name.rpartition("/")[2], value)
    for name, text in SETTINGS.items():
        tracker.client.log_param(old.info.run_id, name, text)
    tracker.client.set_terminated(old.info.run_id)
    now, before = tracker.run(run_id), tracker.run(old.info.run_id)
    assert now is not None
    assert before is not None
    assert now.metrics == before.metrics
    assert now.params.keys() == before.params.keys()


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_browser_shows_the_figures_at_the_printed_address(
    tracker: Tracker, tmp_path: Path
) -> None:
    for rate in (10, 1):
        trial(tracker, rate, 0, None)
    record = str(tmp_path / "mlruns")
    command = [sys.executable, "-m", "mcalc.tracking.page", record]
    with served(lambda port: [*command, str(port)], ROOT) as (base, log), page() as shown:
        (address,) = [
            line.removeprefix("open ")
            for line in log.read_text().splitlines()
            if line.startswith("open http")
        ]
        assert address.startswith(base)
        shown.open(address)
        text = shown.wait_for(
            "document.body.innerText.includes('result/accuracy_low') && "
            "document.body.innerText.includes('0.51') && document.body.innerText"
        )
        assert "result/auc" in text
        assert "head.weight_lr=1, seed=0" in text
        assert text.index("head.weight_lr=1,") < text.index("head.weight_lr=10,")
        assert "Error loading shared view state" not in text
        shown.open(f"{address}&compareRunsMode=CHART")
        # the sections of the view, which no view of MLflow's own has
        for title in ("Results", "Curves", "Pictures"):
            shown.wait_for(f"document.body.innerText.includes('{title}')")


def test_read_trials_gives_a_sweeps_baselines(tracker: Tracker, tmp_path: Path) -> None:
    parent = tracker.open_sweep("mine", "mine", {})
    record(tracker, "one", "k", parent)
    folder = tmp_path / "mlruns" / "artifacts"
    (run,) = tracker.runs_of(parent)
    (folder / run.run_id / "artifacts" / "baselines.json").write_text('{"size_auc": 0.71}')
    (found,) = read_trials(TrackingConfig(dir=str(tmp_path / "mlruns")), "mine")
    assert found.metrics["size_auc"] == 0.71
