"""What a dry run promises is what then runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcalc.config import TrackingConfig
from mcalc.config.compose import compose_config
from mcalc.sweep.start import run_sweep
from mcalc.tracking.reader import read_trials

SETTINGS = (
    "backbone=squeezenet",
    "backbone.weights=none",
    "trainer.batch_size=8",
    "trainer.max_epochs=1",
    "trainer.val_every=100",
    "trainer.threads=1",
    "tracking.keep_models=none",
    "head.weight_lr=1,2",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms and prepared images, for all protocols."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "lesions"),
    [("paper_augment_first", 24), ("cv", 40)],
)
@pytest.mark.xdist_group("dry run")
def test_the_planned_iterations_are_those_that_run(
    protocol: str, lesions: int, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *SETTINGS,
        f"protocol={protocol}",
        f"data.phantom.lesions={lesions}",
        f"tracking.dir={tmp_path / 'runs'}",
        f"data.cache={cache}",
        "name=mine",
    ]
    run_sweep([*arguments, "dry_run=true"], compose_config)
    (planned,) = re.findall(r"at most (\d+) iterations", capsys.readouterr().out)
    assert not (tmp_path / "runs").exists(), "a dry run leaves nothing"
    run_sweep(arguments, compose_config)
    trials = read_trials(TrackingConfig(dir=str(tmp_path / "runs")), "mine")
    assert len(trials) == 2
    assert int(planned) == sum(trial.metrics["iterations"] for trial in trials)
