"""Work in processes of its own: all of it is done, errors come back, and nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest
from processes import fork, wait_for

from mcalc.errors import UserError
from mcalc.iteration import in_processes


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse(number: int) -> int:
    if number == 3:
        raise UserError("three is refused")
    return number


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say_who(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    signal.pause()


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_every_item_is_worked_on(processes: int) -> None:
    made = list(in_processes(square, range(8), processes))
    assert sorted(value for value, _ in made) == [n * n for n in range(8)]
    assert (os.getpid() in {who for _, who in made}) is (processes < 2)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_comes_back_as_it_is(processes: int) -> None:
    with pytest.raises(UserError, match="three is refused"):
        list(in_processes(refuse, range(8), processes))
    assert not multiprocessing.active_children()


def test_a_killed_process_is_an_error() -> None:
    with pytest.raises(BrokenProcessPool):
        list(in_processes(die, range(4), 2))


def _work_without_end(folder: Path) -> None:
    list(in_processes(say_who, [folder] * 2, 2))


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = fork(_work_without_end, tmp_path)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    started = [int(each.name) for each in tmp_path.iterdir()]
    parent.kill()
    parent.join()
    wait_for(lambda: not any(map(psutil.pid_exists, started)))
