"""The sbatch script of docs/parallel.md, run by bash with a stand-in for Slurm and for training."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mcalc.errors import PREEMPTED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parallel.md"
TRAINING = """#!/bin/bash
# stands in for `python -m mcalc.train`: stops a moment after a signal, as on a checkpoint
trap 'echo USR1 >> signals; sleep 0.3; exit 75' USR1
trap 'echo TERM >> signals; sleep 0.3; exit 75' TERM
echo "$@" > arguments
touch started
for _ in $(seq 600); do sleep 0.1; [ -e stop ] && exit "$(cat stop)"; done
"""
SCONTROL = """#!/bin/bash
echo "$@" >> scontrol-calls
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (example,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "workers.sbatch"
    file.write_text(example)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("python", TRAINING), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return file


def start(script: Path) -> subprocess.Popen[bytes]:
    folder = script.parent
    job = subprocess.Popen(
        ["bash", script.name],
        cwd=folder,
        env={"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "4711"},
    )
    deadline = time.monotonic() + 60
    while not (folder / "started").exists():
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_its_syntax_and_its_options_are_right(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text = script.read_text()
    assert "#SBATCH --signal=B:USR1@180\n" in text
    assert "#SBATCH --requeue\n" in text


@pytest.mark.parametrize("again", [1, 2])
def test_before_the_time_limit_it_waits_for_the_checkpoint_and_is_put_back(
    script: Path, again: int
) -> None:
    job = start(script)
    for _ in range(again):
        job.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
    assert job.wait(60) == PREEMPTED
    assert set(lines(script.with_name("signals"))) == {"USR1"}
    assert lines(script.with_name("scontrol-calls")) == ["requeue 4711"]
    (arguments,) = lines(script.with_name("arguments"))
    assert arguments.startswith("-m mcalc.train -m sweep=alexnet")


def test_a_job_that_slurm_takes_or_a_user_cancels_is_not_put_back_by_the_script(
    script: Path,
) -> None:
    job = start(script)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == PREEMPTED
    assert lines(script.with_name("signals")) == ["TERM"]
    assert lines(script.with_name("scontrol-calls")) == []


def test_a_signal_that_comes_before_the_worker_is_known_reaches_it(script: Path) -> None:
    # bash looks at signals between any two commands, so also before this one
    before = """trap '[ "$BASH_COMMAND" = "worker=\\$!" ] && {
        while [ ! -e started ]; do sleep 0.01; done
        kill -TERM $$
    }' DEBUG
"""
    first, rest = script.read_text().split("\n", 1)
    script.write_text(f"{first}\n{before}{rest}")
    assert start(script).wait(60) == PREEMPTED
    assert lines(script.with_name("signals")) == ["TERM"]


@pytest.mark.parametrize("status", [0, 2])
def test_work_that_ends_by_itself_hands_on_its_status(script: Path, status: int) -> None:
    job = start(script)
    script.with_name("stop").write_text(str(status))
    assert job.wait(60) == status
    assert lines(script.with_name("scontrol-calls")) == []
