"""A sweep over files: each trial's entry says which content it was, its run which path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_network import SMALL_BACKBONE
from stores import begin_with_tables
from sweep_processes import SMALL

from mcalc.command_line import run_command
from mcalc.config.compose import compose_config
from mcalc.sweep.checking.attempt import identity_problems
from mcalc.sweep.start import run_sweep
from mcalc.sweep.store import Storage, SweepStudy, storage_url
from mcalc.tracking.tracker import Tracker


def test_the_check_compares_contents_of_files_that_vary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, record = tmp_path / "weights.pth", tmp_path / "mlruns"
    torch.save(SMALL_BACKBONE.build().state_dict(), file)
    begin_with_tables(record)
    place = f"tracking.dir={record}"
    words = [*(word for word in SMALL if "weights" not in word), place, f"data.cache={tmp_path}"]
    run_sweep([*words, f"backbone.weights=none,{file}", "name=files"], compose_config)
    assert run_command("sweep", ["check", "files", place]) == 0
    assert "Optuna and MLflow agree" in capsys.readouterr().out

    config = compose_config([place])
    study = SweepStudy.find(Storage(storage_url(config), 5), "files")
    assert study is not None
    tracker = Tracker(record, "mcalc")
    attempt = study.attempts()[1]
    run = tracker.run(attempt.user_attrs["mlflow_run"])
    assert run is not None
    assert not list(identity_problems(study, attempt, run))
    other = run.tags["mcalc.identity"].replace("sha256:", "sha256:0")
    changed = replace(run, tags={**run.tags, "mcalc.identity": other})
    (problem,) = identity_problems(study, attempt, changed)
    assert problem.startswith("its backbone.weights is sha256:")
