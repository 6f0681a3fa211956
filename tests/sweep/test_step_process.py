"""What a training step takes on this machine, measured for a plan, by a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from parameters import most_are_whole
from processes import wait_for
from torch import nn

from mcalc.config import Config
from mcalc.config.compose import compose_config
from mcalc.errors import UserError
from mcalc.models.backbone import Backbone, InputContract
from mcalc.models.backbones import BACKBONES
from mcalc.sweep.display import StepProcess, step_process
from mcalc.sweep.display.measured_step import measured
from mcalc.sweep.display.step_times import StepFailedError

SETTINGS = (
    "backbone=squeezenet",
    "trainer.batch_size=2",
    "trainer.threads=1",
    "trainer.precision=fp32",
    "trainer.channels_last=false",
)


@pytest.fixture(scope="module")
def config() -> Config:
    return compose_config(SETTINGS)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with one there is no second process."""
    monkeypatch.setattr("mcalc.sweep.display.step_process.usable_cores", lambda: 2)


def started() -> list[psutil.Process]:
    """Processes of this one that measure."""
    return [
        process
        for process in psutil.Process().children()
        if "mcalc.sweep.display.step_process" in process.cmdline()
    ]


def test_it_measures_what_is_measured_here_one_config_after_another(config: Config) -> None:
    frozen = replace(config, backbone=replace(config.backbone, freeze="all"))
    with StepProcess() as steps:
        steps.start()
        for each in (config, frozen):
            there, here = steps.measured(each), measured(each)
            other = replace(there, seconds=here.seconds, when=here.when)
            assert replace(other, head_seconds=here.head_seconds) == here
            assert 0 < there.seconds < 100 * here.seconds
            # of the head alone where nothing else is trained
            assert (0 < there.head_seconds < there.seconds) is (each is frozen)
        (process,) = started()
    assert not process.is_running()


def test_a_process_that_plans_does_without_pytorch() -> None:
    program = f"""
import sys
from mcalc.config.compose import compose_config
from mcalc.sweep.display.step_process import StepProcess
with StepProcess() as steps:
    steps.start()
    print(steps.measured(compose_config({SETTINGS})).network_bytes, "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    # squeezenet 1.1 without its 1000 classes, and with two: numbers of four bytes
    assert done.stdout.split() == [str(4 * (1_235_496 - 513 * 1000 + 513 * 2)), "False"]


def _elsewhere(folder: Path, *options: str, path: Path | None = None) -> str:
    """What a process in this folder prints of a measurement, with a folder before its path."""
    program = f"""
from mcalc.config.compose import compose_config
from mcalc.sweep.display import step_process
from mcalc.sweep.display.step_process import StepProcess
step_process._Others = None  # nothing is measured in this process
with StepProcess() as steps:
    steps.start()
    print(steps.measured(compose_config({SETTINGS})).offered)
"""
    places = [str(path or ""), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    # an empty one would be the working folder
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    done = subprocess.run(
        [sys.executable, *options, "-c", program], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("said", most_are_whole(["N.", "Loading", "cluster module"], 1))
def test_what_an_interpreter_prints_as_it_starts_is_no_answer(said: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"print({said!r}, flush=True)")
    assert _elsewhere(tmp_path, path=tmp_path).split("\n")[-2:] == ["True", ""]


def test_it_runs_no_file_of_the_working_folder_that_the_command_would_not(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("open('executed', 'w').close()")
    assert _elsewhere(tmp_path, "-P") == "True\n"
    assert not (tmp_path / "executed").exists()


def test_where_it_is_killed_the_step_is_measured_here_and_that_is_said(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with StepProcess() as steps:
        steps.start()
        (process,) = started()
        process.kill()
        assert steps.measured(config).network_bytes == measured(config).network_bytes
        assert not started()
    assert "the process that measures training steps could not be started, or ended" in caplog.text


def test_what_it_cannot_measure_is_said_as_it_is_here(config: Config) -> None:
    unknown = replace(config, backbone=replace(config.backbone, name="alexnt"))
    with StepProcess() as steps:
        steps.start()
        with pytest.raises(UserError, match="alexnt"):
            steps.measured(unknown)


def test_a_network_whose_weights_no_rule_draws_is_measured_too(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trials take them from a file, with backbone.weights=PATH."""

    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 1000)
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * self.scale

    def build() -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Scaled(), nn.Linear(1000, 1000))

    def put_head(network: nn.Module, classes: int) -> nn.Module:
        assert isinstance(network, nn.Sequential)
        network[3] = nn.Linear(1000, classes)
        return network[3]

    contract = InputContract(32, 5, (127.5,) * 3, (127.5,) * 3)
    entry = Backbone("scaled", build, put_head, contract, (r"2\.", r"3\."))
    monkeypatch.setitem(BACKBONES, "scaled", entry)
    scaled = replace(config, backbone=replace(config.backbone, name="scaled", weights="x.pth"))
    assert measured(scaled).network_bytes == 4 * (3 * 1000 + 1000 + 1 + 1000 * 2 + 2)


FAILING = """
from torch import nn

from mcalc.models.backbone import Backbone, InputContract


class Pair(nn.Sequential):
    def forward(self, x):
        return super().forward(x), None


def build():
    return Pair(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000))


def replace_head(network, classes):
    network[2] = nn.Linear(3, classes)
    return network[2]


GREY = (127.5, 127.5, 127.5)
PAIR = Backbone("pair", build, replace_head, InputContract(32, 5, GREY, GREY), (r"2\\.",))
"""


@pytest.mark.parametrize("beside", [(), ("small",)], ids=["alone", "beside another"])
def test_a_plan_is_printed_although_the_step_of_a_packages_network_fails(
    beside: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    info = tmp_path / "failing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mcalc.backbones]\npair = failing:PAIR\n")
    tests = Path(__file__).parents[1]
    path = os.pathsep.join(map(str, (tests.parent, tests, tmp_path)))
    words = [
        "backbone=squeezenet", "backbone.weights=none", "trainer.threads=1", "seed=0,1",
        "data.phantom.lesions=24", "trainer.max_iterations=5", "dry_run=true",
        f"backbone.name={','.join(('pair', *beside))}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "mcalc.train", "-m", *words], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    assert "Traceback" not in printed
    said = "a training step of backbone.name=pair failed (AttributeError: 'tuple' object"
    assert printed.count(said) == 1
    (line,) = [each for each in printed.splitlines() if each.startswith("at most")]
    if beside:
        assert line.startswith("at most 20 iterations; without pair ")
        assert "of disk" in line
    else:
        assert line == "at most 10 iterations"


def test_an_error_of_a_step_is_the_same_from_either_process(config: Config) -> None:
    large = replace(config, trainer=replace(config.trainer, batch_size=2**40))
    with StepProcess() as steps:
        steps.start()
        with pytest.raises(StepFailedError, match="RuntimeError") as there:
            steps.measured(large)
        (process,) = started()
        assert process.is_running(), "it measures the next step"
    with pytest.raises(StepFailedError, match="RuntimeError") as here:
        measured(large)
    assert str(there.value) == str(here.value)


@pytest.mark.parametrize("twice", [False, True])
def test_a_head_of_a_package_is_measured_where_it_can_be_called_alone(
    config: Config, twice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Theirs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # of one image's single position batch normalisation can train nothing
            self.below = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten())
            self.head = nn.Linear(3, 1000)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            below = self.below(x)
            logits: torch.Tensor = (
                self.head(below) + self.head(-below) if twice else self.head(below)
            )
            return logits

    def put_head(network: nn.Module, classes: int) -> nn.Module:
        network.head = nn.Linear(3, classes)
        return network.head

    contract = InputContract(32, 5, (127.5,) * 3, (127.5,) * 3)
    entry = Backbone(f"theirs{twice}", Theirs, put_head, contract, (r"below\.", r"head\."))
    monkeypatch.setitem(BACKBONES, entry.name, entry)
    backbone = replace(config.backbone, name=entry.name, weights="x.pth", freeze="all")
    assert (measured(replace(config, backbone=backbone)).head_seconds > 0) is not twice


def test_beside_others_a_step_is_that_of_one_thread_and_says_so(config: Config) -> None:
    two = replace(config, trainer=replace(config.trainer, threads=2))
    threads = []

    def seen(*_: object) -> None:
        threads.append(torch.get_num_threads())

    hook = nn.modules.module.register_module_forward_pre_hook(seen)
    try:
        step = measured(two, beside_others=True)
    finally:
        hook.remove()
    assert not step.alone
    assert step.seconds > 0
    assert {*threads} == {1}, "threads would wait for others, and that would count"
    assert measured(config, beside_others=True).alone, "a single one waits for none"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no cores of its own")
def test_what_others_take_of_the_cores_is_seen() -> None:
    core = min(os.sched_getaffinity(0))
    program = """
import os, sys, time
from mcalc.sweep.display.step_process import _Others
os.sched_setaffinity(0, {int(sys.argv[1])})
others = _Others()
print(flush=True)
print(others.are_busy())
"""
    asked = [sys.executable, "-c", program, str(core)]
    own = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(asked, **own) as seen:
        assert seen.stdout is not None
        seen.stdout.readline()
        spin = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
        with subprocess.Popen([sys.executable, "-c", spin]) as other:
            said = seen.stdout.readline()
            other.kill()
    assert said == "True\n"


def test_the_work_of_the_process_that_asks_is_not_that_of_others() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as asks:
        with_it, without = step_process._Others(asks.pid), step_process._Others()
        time.sleep(1.0)
        spent = psutil.Process(asks.pid).cpu_times().user
        counted = with_it._now()[2] - without._now()[2]
        asks.kill()
    assert counted > 0.9 * spent > 0


def test_a_step_that_is_measured_here_beside_others_is_not_kept(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    two = replace(config, trainer=replace(config.trainer, threads=2))
    monkeypatch.setattr("mcalc.sweep.display.measured_step.usable_cores", lambda: 2)
    for busy in (True, False):
        monkeypatch.setattr(step_process._Others, "are_busy", lambda _, busy=busy: busy)
        with StepProcess() as steps:
            steps.start()
            (process,) = started()
            process.kill()
            assert steps.measured(two).alone is not busy
            assert steps.measured(two).alone is not busy
        assert caplog.text.count("could not be started, or ended") == 1, "once a plan"
        caplog.clear()


def test_where_no_process_can_be_started_that_is_said(
    config: Config, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    for place in ("os.pipe", "subprocess.Popen"):
        caplog.clear()
        with monkeypatch.context() as patched, StepProcess() as steps:
            patched.setattr(place, refused)
            steps.start()
            assert steps.measured(config).seconds > 0
        assert "could not be started, or ended" in caplog.text


def test_it_ends_with_its_block_whatever_ends_that() -> None:
    found: list[psutil.Process] = []

    def interrupted() -> None:
        with StepProcess() as steps:
            steps.start()
            found.extend(started())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (process,) = found
    assert not process.is_running()


@pytest.mark.parametrize("hangs", [False, True])
def test_it_ends_where_the_process_that_asks_is_killed(hangs: bool, tmp_path: Path) -> None:
    if hangs:  # as a package may when it is imported
        reached = f"open({str(tmp_path / 'reached')!r}, 'w').close()"
        (tmp_path / "torch.py").write_text(f"import time\n{reached}\ntime.sleep(600)")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    program = """
import time
from mcalc.sweep.display.step_process import StepProcess
with StepProcess() as steps:
    steps.start()
    print("started", flush=True)
    time.sleep(600)
"""
    asked, own = [sys.executable, "-c", program], {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(asked, stdout=subprocess.PIPE, env=own) as asks:
        assert asks.stdout is not None
        asks.stdout.readline()
        (process,) = psutil.Process(asks.pid).children()
        if hangs:
            wait_for((tmp_path / "reached").exists)
        asks.kill()
    # it imports PyTorch first
    deadline = time.monotonic() + 60
    while process.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_running()
