"""A job in the process that a launcher gave it: when it runs, what it refuses, where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from sweep_processes import SMALL

from mcalc.config.compose import compose_config
from mcalc.config.identity import NUMERICS_VERSION
from mcalc.config.schema import Config
from mcalc.results import Outcome
from mcalc.sweep.start import run_sweep
from mcalc.sweep.store.storage import storage_url
from mcalc.sweep.worker.remote import JobReport, RemoteJob, remote_job

pytestmark = [pytest.mark.slow, pytest.mark.distributed]


class Queue:
    """Jobs that wait for a machine when the command that submitted them is stopped."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def at_once(self, jobs: int, config: Config) -> int:
        return 1

    def launch(self, tokens: Sequence[str], config: Config) -> list[list[Outcome]]:
        self.tokens += tokens
        raise KeyboardInterrupt


def test_queued_jobs_run_though_the_command_was_stopped(folder: Path, cache: str) -> None:
    queue = Queue()
    settings = [*SMALL, cache, "tracking.dir=runs"]
    with pytest.raises(KeyboardInterrupt):
        run_sweep([*settings, "head.weight_lr=1,10"], compose_config, lambda _: queue)
    assert len(queue.tokens) == 2
    report = called(remote_job(compose_config(settings)), queue.tokens[1])
    assert report.error == ""
    assert [(each.name, each.state) for each in report.outcomes] == [
        ("head.weight_lr=10", "finished")
    ]
    outcomes = run_sweep([*settings, "head.weight_lr=1,10"], compose_config)
    assert [outcome.state for outcome in outcomes] == ["skipped", "finished"]


def images(folder: Path) -> list[str]:
    """Class folders with small images; the settings of a sweep on them."""
    draw = np.random.default_rng(0)
    for number in range(24):
        file = folder / ("benign", "malignant")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), draw.integers(0, 256, (40, 50), dtype=np.uint8))
    small = [each for each in SMALL if not each.startswith("data.")]
    return [*small, "data=folder", f"data.root={folder}", "tracking.dir=runs"]


def test_a_queued_job_whose_images_changed_meanwhile_trains_nothing(
    folder: Path, cache: str
) -> None:
    settings, sweep = [*images(folder / "images"), cache], ["head.weight_lr=1,10"]
    queue = Queue()
    with pytest.raises(KeyboardInterrupt):
        run_sweep([*settings, *sweep], compose_config, lambda _: queue)
    changed = folder / "images" / "benign" / "0.png"
    cv2.imwrite(str(changed), cv2.imread(str(changed), cv2.IMREAD_GRAYSCALE)[::-1])
    report = called(remote_job(compose_config(settings)), queue.tokens[0])
    assert report.outcomes == []
    assert report.error.startswith("head.weight_lr=1 is another trial here than was planned")
    assert report.trace == ""
    # planned anew it is the one on the new images
    planned = Queue()
    with pytest.raises(KeyboardInterrupt):
        run_sweep([*settings, *sweep], compose_config, lambda _: planned)
    report = called(remote_job(compose_config(settings)), planned.tokens[0])
    assert [(each.state, each.error) for each in report.outcomes] == [("finished", None)]


def called(job: RemoteJob, token: str = "0") -> JobReport:
    """What a job reports that a launcher calls in this process."""
    return job(SimpleNamespace(job=token))


def job_in(folder: Path) -> RemoteJob:
    return remote_job(compose_config([f"tracking.dir={folder}"]))


def test_a_job_on_another_machine_refuses_the_sqlite_file(tmp_path: Path) -> None:
    report = called(replace(job_in(tmp_path), host="elsewhere"))
    assert report.outcomes == []
    assert "storage=postgresql" in report.error
    assert list(tmp_path.iterdir()) == []


def test_a_job_of_another_version_refuses(tmp_path: Path) -> None:
    report = called(replace(job_in(tmp_path), numerics=NUMERICS_VERSION + 1))
    assert "another version of mcalc" in report.error
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_the_store_does_not_know_is_answered_in_one_sentence(tmp_path: Path) -> None:
    report = called(job_in(tmp_path), token="abc")
    assert report.outcomes == []
    assert report.error.startswith("the store has no job 'abc'")
    assert report.trace == ""


def test_a_jobs_places_do_not_depend_on_where_it_runs(folder: Path) -> None:
    places = remote_job(compose_config(["tracking.dir=my runs"])).places
    assert places.tracking.dir == str(folder / "my runs")
    assert storage_url(places) == f"sqlite:///{folder}/my runs/optuna.db"
    named = remote_job(compose_config(["storage='sqlite:///my store.db'"])).places
    assert named.storage == f"sqlite:///{folder}/my store.db"
