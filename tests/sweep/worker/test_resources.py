"""Which part of a machine a run takes: places are real locks, of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import torch

from mcalc.config import Accelerator, TrainerConfig
from mcalc.sweep.worker.resources import cores_here, cpu_share, first_free, gpu_slot, share_of
from mcalc.training.device import all_cores

CPU = TrainerConfig(accelerator=Accelerator.cpu)


def test_places_are_taken_in_order_and_given_back(tmp_path: Path) -> None:
    names = ["gpu-a-0", "gpu-b-0"]
    with first_free(names, tmp_path) as first:
        with first_free(names, tmp_path) as second:
            assert (first, second) == (0, 1)
        with first_free(names, tmp_path) as again:
            assert again == 1
    with first_free(names, tmp_path) as free:
        assert free == 0


def test_who_finds_no_place_waits_until_one_is_free(tmp_path: Path) -> None:
    got: list[int] = []
    taken = threading.Event()

    def work() -> None:
        with first_free(["only"], tmp_path) as index:
            got.append(index)
            taken.set()

    waiter = threading.Thread(target=work)
    with first_free(["only"], tmp_path):
        waiter.start()
        assert not taken.wait(1.0)
    assert taken.wait(10.0)
    waiter.join()
    assert got == [0]


def test_an_error_inside_gives_the_place_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), first_free(["only"], tmp_path):
        _ = 1 / 0
    with first_free(["only"], tmp_path) as index:
        assert index == 0


HOLD = """
import sys, time
from pathlib import Path
from mcalc.sweep.worker.resources import first_free
with first_free(["only"], Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.mark.slow
def test_a_killed_process_frees_its_place(tmp_path: Path) -> None:
    got = threading.Event()

    def work() -> None:
        with first_free(["only"], tmp_path):
            got.set()

    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiter = threading.Thread(target=work)
        waiter.start()
        assert not got.wait(1.0)
        holder.kill()
    assert got.wait(10.0)
    waiter.join()


def test_on_the_cpu_no_place_is_needed() -> None:
    with gpu_slot(CPU, 1) as first, gpu_slot(CPU, 1) as second:
        assert (first, second) == (0, 0)


@pytest.mark.gpu
def test_a_gpu_has_as_many_places_as_asked_for() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    settings = TrainerConfig(accelerator=Accelerator.gpu)
    with gpu_slot(settings, 2) as first, gpu_slot(settings, 2) as second:
        assert first >= 0
        assert second >= 0


def test_cores_are_split_between_jobs_that_run_at_once() -> None:
    allowed = len(os.sched_getaffinity(0))
    physical = psutil.cpu_count(logical=False) or allowed
    assert cores_here() == min(allowed, physical)
    assert cpu_share(CPU, 1) is None
    assert cpu_share(CPU, 2) == max(1, min(all_cores(), cores_here() // 2))
    assert cpu_share(CPU, 10_000) == 1


@pytest.mark.parametrize(
    ("limit", "beside", "threads"),
    [
        (16, 4, 4),
        (4, 4, 4),  # joblib gives each of four jobs OMP_NUM_THREADS=4: not divided again
        (1, 4, 1),  # the user's OMP_NUM_THREADS
        (16, 5, 3),
        (16, 99, 1),
    ],
)
def test_a_share_of_sixteen_cores(limit: int, beside: int, threads: int) -> None:
    assert share_of(16, limit, beside) == threads
