"""Hydra's launchers run the same sweep to the same numbers, each in real processes."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import cloudpickle
import processes
import psutil
import pytest
from optuna.trial import TrialState
from servers import served
from sqlalchemy import create_engine, inspect, text
from submitit.core.utils import DelayedSubmission
from sweep_processes import (
    ROOT,
    SQUEEZENET,
    Worker,
    attempts,
    in_training,
    predictions,
    recorded,
    start,
    wait_for,
)

from hydra_plugins.mcalc_sweeper._launching import HydraLauncher
from mcalc.config.compose import compose_config
from mcalc.config.schema import Config
from mcalc.results import Outcome, RecordedTrial
from mcalc.sweep.__main__ import main
from mcalc.sweep.start import run_sweep
from mcalc.sweep.worker.remote import JobReport, remote_job
from mcalc.tracking.tracker import Tracker
from mcalc.train import main as train

pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.xdist_group("launchers")]

SWEEP = ("head.weight_lr=1,5,10,20",)
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
TIME_AND_LEVEL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO   |WARNING|ERROR  ) ")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, cache: str) -> dict[str, dict[str, str]]:
    """Predictions of the sweep's four trials, run one after another in this process."""
    runs = tmp_path_factory.mktemp("alone")
    run_sweep([*SQUEEZENET, *SWEEP, cache, f"tracking.dir={runs}"], compose_config)
    found = predictions(runs)
    assert len(found) == 4
    assert len({tuple(each.values()) for each in found.values()}) == 4
    return found


def store(runs: Path) -> str:
    return f"sqlite:///{runs / 'optuna.db'}"


def stored_jobs(storage: str) -> int:
    engine = create_engine(storage)
    try:
        if not inspect(engine).has_table("mcalc_jobs"):
            return 0  # no launcher was used here
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM mcalc_jobs")).scalar_one())
    finally:
        engine.dispose()


def all_done_once(runs: Path, trials: int) -> None:
    assert [a.state for a in attempts(store(runs))] == [TrialState.COMPLETE] * trials
    assert [run.state for run in recorded(runs)] == ["finished"] * trials
    assert main(["check", f"tracking.dir={runs}"]) == 0
    assert stored_jobs(store(runs)) == 0


def logged(runs: Path) -> str:
    """What workers logged, less each line's time; every line must have one."""
    lines = [line for log in (runs / "logs").glob("*.log") for line in log.read_text().splitlines()]
    assert lines
    assert [line for line in lines if not TIME_AND_LEVEL.match(line)] == []
    return "\n".join(line.partition(",")[2][4:] for line in lines)


def test_joblib_gives_the_numbers_of_a_sweep_alone_though_workers_are_killed(
    tmp_path: Path, cache: str, alone: dict[str, dict[str, str]]
) -> None:
    runs = tmp_path / "runs"
    arguments = (*SWEEP, *JOBLIB, "retries=1", cache, f"tracking.dir={runs}")
    first = start(*arguments, log=tmp_path / "first.log")
    kill_one_at_work(first, store(runs))
    wait_for(lambda: "giving what is left to new ones (1 of 1)" in first.printed(), first)
    kill_one_at_work(first, store(runs))
    assert first.ended() == 2, first.printed()
    assert first.printed().count("error: ") == 1
    assert "give the same command again" in first.printed()
    assert "Traceback" not in first.printed()

    second = start(*arguments, log=tmp_path / "second.log")
    assert second.ended() == 0, second.printed()
    assert "4 of 4 done" in second.printed()
    all_done_once(runs, 4)
    assert predictions(runs) == alone
    log = logged(runs)
    printed = first.printed() + second.printed()
    for name in alone:
        assert f"INFO      {name.removeprefix('head.')}: accuracy" in log
        assert f"  {name.removeprefix('head.')}: accuracy" not in printed
    assert "WARNING   warning: synthetic data" in log
    assert not any(TIME_AND_LEVEL.search(line) for line in printed.splitlines())


def test_the_command_line_chooses_another_launcher_than_the_sweep_file(
    tmp_path: Path, cache: str
) -> None:
    write_sweep_file(tmp_path, "joblib")
    arguments = ("sweep=mine", "hydra/launcher=basic", cache, "tracking.dir=runs")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    worker = start(*arguments, log=tmp_path / "log", folder=tmp_path, PYTHONPATH=path)
    assert worker.ended() == 0, worker.printed()
    all_done_once(tmp_path / "runs", 2)
    # workers in processes of their own have logs of their own
    assert list((tmp_path / "runs" / "logs").glob("*.log")) == []


def write_sweep_file(folder: Path, launcher: str) -> None:
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "mine.yaml").write_text(
        f"overrides: [hydra/launcher={launcher}, hydra.launcher.n_jobs=2]\n"
        "grid: {head.weight_lr: [1, 10]}\n"
    )


def kill_one_at_work(sweep: Worker, storage: str) -> None:
    """Kill a process of a launcher in the middle of training, not the sweep's own."""

    def workers() -> set[int]:
        children = {child.pid for child in psutil.Process(sweep.process.pid).children(True)}
        return set(in_training(storage).values()) & children

    found: set[int] = set()
    wait_for(lambda: found.update(workers()) or found, sweep)
    os.kill(found.pop(), signal.SIGKILL)


RECORDING = """
import json
from pathlib import Path
from hydra.core.config_store import ConfigStore
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher as Original

class JoblibLauncher(Original):
    def launch(self, job_overrides, initial_job_idx):
        Path(__file__).with_name("given.json").write_text(json.dumps([*map(list, job_overrides)]))
        return super().launch(job_overrides, initial_job_idx)

settings = JobLibLauncherConf(_target_="hydra_plugins.recording.JoblibLauncher")
ConfigStore.instance().store(group="hydra/launcher", name="recording", node=settings)
"""
"""Hydra's launcher for joblib, as a plug-in that writes what it is given to a file."""


def given_to_joblib(plugins: Path, runs: Path) -> list[list[str]]:
    found: list[list[str]] = json.loads((plugins / "recording" / "given.json").read_text())
    return found


def given_to_submitit(plugins: Path, runs: Path) -> list[list[str]]:
    files = (runs / "hydra" / ".submitit").rglob("*_submitted.pkl")
    return [DelayedSubmission.load(file).args[0] for file in files]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("sweep=mine",), given_to_joblib),
        (("head.weight_lr=1,10", "hydra/launcher=submitit_local"), given_to_submitit),
    ],
    ids=["joblib, named by a sweep file", "submitit_local"],
)
def test_launchers_get_tokens_and_give_the_numbers_of_a_sweep_alone(
    tmp_path: Path,
    alone: dict[str, dict[str, str]],
    arguments: tuple[str, ...],
    given: Callable[[Path, Path], list[list[str]]],
) -> None:
    """In a folder whose path has spaces, with paths relative to it."""
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    write_sweep_file(folder, "recording")
    plugins = tmp_path / "hydra_plugins"
    (plugins / "recording").mkdir(parents=True)
    (plugins / "recording" / "__init__.py").write_text(RECORDING)
    worker = start(
        *arguments,
        "tracking.dir=my runs",
        "data.cache=my cache",
        log=tmp_path / "log",
        folder=folder,
        PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}",
    )
    assert worker.ended() == 0, worker.printed()
    runs = folder / "my runs"
    all_done_once(runs, 2)
    found = predictions(runs)
    assert found == {name: alone[name] for name in found}
    assert {file.name for file in folder.iterdir()} == {"my runs", "my cache", "sweeps"}
    jobs = given(plugins, runs)
    assert len(jobs) == 2
    for job in jobs:
        (setting,) = job
        assert re.fullmatch("job=[a-z][a-z0-9]{1,31}", setting)
    assert len(list((runs / "logs").glob("*.log"))) == 2
    for name in found:
        assert f"INFO      {name.removeprefix('head.')}: accuracy" in logged(runs)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores are chosen on Linux")
def test_jobs_beyond_the_cores_wait_and_all_of_them_run(
    tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Submitit on this machine, which would start all at once; they are seen to take turns."""
    launched: list[tuple[int, list[list[str]]]] = []
    launch = HydraLauncher.launch

    def watched(self: HydraLauncher, tokens: Sequence[str], config: Config) -> list[list[Outcome]]:
        found = launch(self, tokens, config)
        launched.append((len(tokens), [[each.state for each in outcomes] for outcomes in found]))
        return found

    monkeypatch.setattr(HydraLauncher, "launch", watched)
    runs = tmp_path / "runs"
    sweep = ("-m", *SQUEEZENET, "head.weight_lr=1,10", cache, f"tracking.dir={runs}")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert train([*sweep, "hydra/launcher=submitit_local"]) == 0
    finally:
        os.sched_setaffinity(0, cores)
    assert launched == [(2, [["finished"], ["finished"]])]
    first, second = sorted(
        (run.info.start_time, run.info.end_time)
        for run in Tracker(runs, "mcalc")._search({"mcalc.kind": "trial"})
    )
    assert first[1] <= second[0]


class Elsewhere:
    """Runs each job as launchers do on another machine: pickled, in a process in another folder."""

    def __init__(self, folder: Path, before: Callable[[], object] = lambda: None) -> None:
        self.folder = folder
        self.before = before
        self.folder.mkdir()

    def at_once(self, jobs: int, config: Config) -> int:
        return min(jobs, 2)

    def launch(self, tokens: Sequence[str], config: Config) -> list[list[Outcome]]:
        self.before()
        file = self.folder / "job.pkl"
        file.write_bytes(cloudpickle.dumps(remote_job(config)))
        answers = [self.folder / token for token in tokens]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started = [
            processes.start(
                "call_job", str(file), token, str(answer),
                folder=self.folder, environment=environment,
            )
            for token, answer in zip(tokens, answers, strict=True)
        ]  # fmt: skip
        assert [each.wait() for each in started] == [0] * len(tokens)
        reports: list[JobReport] = [pickle.loads(answer.read_bytes()) for answer in answers]
        assert [report.error for report in reports] == [""] * len(tokens)
        return [report.outcomes for report in reports]


def test_workers_that_start_in_another_folder_give_the_same_numbers(
    tmp_path: Path, folder: Path, alone: dict[str, dict[str, str]]
) -> None:
    launcher = Elsewhere(tmp_path / "where, workers (start)")
    outcomes = run_sweep(
        [*SQUEEZENET, "head.weight_lr=1,10", "tracking.dir=my runs", "data.cache=my cache"],
        compose_config,
        lambda _: launcher,
    )
    assert [outcome.state for outcome in outcomes] == ["finished"] * 2
    all_done_once(folder / "my runs", 2)
    found = predictions(folder / "my runs")
    assert found == {name: alone[name] for name in found}
    # a worker leaves nothing where it starts
    names = {file.name for file in launcher.folder.iterdir()}
    assert {name for name in names if not re.fullmatch("[a-z0-9]{17}", name)} == {"job.pkl"}


def drawn_and_trained(runs: Path) -> list[tuple[str, RecordedTrial]]:
    """The backbone that each attempt of a search drew, and the run that it made."""
    by_id = {run.run_id: run for run in recorded(runs)}
    return [
        (str(attempt.params["backbone"]), by_id[attempt.user_attrs["mlflow_run"]])
        for attempt in attempts(store(runs))
    ]


def test_a_search_by_several_workers_keeps_to_its_budget_and_builds_what_it_draws(
    tmp_path: Path, cache: str
) -> None:
    """By joblib, in a folder without `conf/`."""
    folder = tmp_path / "without conf"
    folder.mkdir()
    worker = start(
        "backbone=squeezenet,alexnet",
        "head.weight_lr=interval(1,30)",
        "budget.trials=4",
        cache,
        "tracking.dir=runs",
        *JOBLIB,
        log=tmp_path / "log",
        folder=folder,
    )
    assert worker.ended() == 0, worker.printed()
    all_done_once(folder / "runs", 4)
    rates = [attempt.params["head.weight_lr"] for attempt in attempts(store(folder / "runs"))]
    assert len(set(rates)) == 4
    assert all(1 <= rate <= 30 for rate in rates)
    found = drawn_and_trained(folder / "runs")
    assert {drawn for drawn, _ in found} == {"squeezenet", "alexnet"}
    for drawn, run in found:
        assert run.params["backbone.name"] == drawn
        assert run.params["backbone.weights"] == "none"


def test_a_searchs_worker_needs_no_file_of_conf(tmp_path: Path, folder: Path, cache: str) -> None:
    mine = folder / "conf" / "backbone"
    mine.mkdir(parents=True)
    (mine / "mine.yaml").write_text("name: squeezenet\nweights: none\nlr_decay: 0.5\n")
    (mine / "other.yaml").write_text("name: squeezenet\nweights: none\nlr_decay: 0.25\n")
    launcher = Elsewhere(
        tmp_path / "where workers start",
        before=lambda: shutil.rmtree(folder / "conf", ignore_errors=True),
    )
    run_sweep(
        [
            *SQUEEZENET,
            "backbone=mine,other",
            "head.weight_lr=interval(1,30)",
            "budget.trials=4",
            cache,
            "tracking.dir=runs",
        ],
        compose_config,
        lambda _: launcher,
    )
    all_done_once(folder / "runs", 4)
    found = drawn_and_trained(folder / "runs")
    decays = {"mine": "0.5", "other": "0.25"}
    assert {drawn for drawn, _ in found} == set(decays)
    for drawn, run in found:
        assert run.params["backbone.lr_decay"] == decays[drawn]


def test_make_dashboard_serves_the_store(tmp_path: Path) -> None:
    import optuna

    storage = store(tmp_path)
    study = optuna.create_study(storage=storage, study_name="alexnet")
    study.optimize(lambda trial: trial.suggest_float("head.weight_lr", 1, 30), n_trials=1)
    dashboard = ["make", "dashboard", f"RUNS={tmp_path}"]
    with (
        served(lambda port: [*dashboard, f"DASHBOARD_PORT={port}"], ROOT, "/dashboard/") as (
            base,
            _,
        ),
        urllib.request.urlopen(f"{base}/api/studies", timeout=60) as answer,
    ):
        assert b"alexnet" in answer.read()
