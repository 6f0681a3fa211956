"""`hydra/launcher=mcalc_ray` on a real Ray cluster of three nodes; one worker process is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import TrialState
from sweep_processes import attempts, in_training, predictions, recorded, start, wait_for

from mcalc.errors import UserError
from mcalc.sweep.__main__ import main

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
ray = pytest.importorskip("ray", reason='needs `pip install "mcalc[ray]"`')
cluster_utils = pytest.importorskip("ray.cluster_utils", reason='needs `pip install "mcalc[ray]"`')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    pytest.mark.xdist_group("ray"),
    # files and processes that Ray leaves to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster whose head takes no job and whose two other nodes take one each."""
    # Ray gives its workers niceness 15: beside other tests they would get a fiftieth of a core
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_worker_niceness", "0")
        yield from _cluster()


def _cluster() -> Iterator[str]:
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made.address
    finally:
        made.shutdown()


def test_a_sweep_on_several_nodes_outlives_a_killed_worker(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    storage = f"sqlite:///{runs / 'optuna.db'}"
    arguments = (
        "head.weight_lr=1,10,20",
        "trainer.max_iterations=10",
        f"data.cache={tmp_path / 'cache'}",
    )
    worker = start(
        *arguments,
        "hydra/launcher=mcalc_ray",
        f"hydra.launcher.address={cluster}",
        f"tracking.dir={runs}",
        log=tmp_path / "log",
    )
    # before the study knows a run, a kill leaves it to be closed, and another is opened
    wait_for(lambda: len(in_training(storage)) == 2, worker)
    processes = set(in_training(storage).values())
    # two at once, in processes of two nodes
    assert len({psutil.Process(process).ppid() for process in processes}) == 2
    os.kill(processes.pop(), signal.SIGKILL)
    assert worker.ended() == 0, worker.printed()
    made = attempts(storage)
    assert [attempt.state for attempt in made] == [TrialState.COMPLETE] * 3
    assert [run.state for run in recorded(runs)] == ["finished"] * 3
    assert main(["check", f"tracking.dir={runs}"]) == 0
    assert "Optuna and MLflow agree" in capsys.readouterr().out
    assert len(predictions(runs)) == 3


def test_a_cluster_that_is_not_there_is_named_at_once() -> None:
    from hydra_plugins.mcalc_ray_launcher._tasks import _connect

    with pytest.raises(UserError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 .*refused"):
        _connect("127.0.0.1:1")


def test_a_jobs_own_error_is_no_lost_node(cluster: str) -> None:
    from hydra_plugins.mcalc_ray_launcher._tasks import _connect, _ended

    def fail() -> None:
        raise ValueError("the job's own")

    _connect(cluster)
    try:
        returned = _ended(ray.remote(fail).remote())
    finally:
        ray.shutdown()
    with pytest.raises(ValueError, match="the job's own"):
        _ = returned.return_value
    assert type(returned._return_value) is ValueError


def test_a_node_without_the_folder_of_the_sweep_says_so(tmp_path: Path) -> None:
    from hydra_plugins.mcalc_ray_launcher._tasks import _run

    nothing: Any = None
    with pytest.raises(UserError, match="is not there on node"):
        _run(str(tmp_path / "gone"), nothing, nothing, nothing, {})
