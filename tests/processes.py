"""Commands in processes of their own, as a user starts them, without their start-up time.

A process that has imported the libraries is kept, and each command is forked from it: `python -m
mcalc.train` needs five seconds for its imports and a test's trial one. The fork has the working
folder, environment, arguments and streams that `python -m` would give it, and may be killed. It
imports mcalc anew where a test gives it another path or environment, or does something first. What
a command imports, and that it starts at all, is tested with real interpreters
(tests/commands/test_imports.py, tests/test_wheel.py).
"""

from __future__ import annotations

import atexit
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_OURS = ("mcalc", "hydra_plugins", "small_network")
_ROOT = Path(__file__).resolve().parents[1]
_TESTS = str(Path(__file__).parent)
"""Has the small network; on the path of what a command starts, too."""
LONGEST_SECONDS = 900.0


@dataclass
class Started:
    """A started command; the methods are those of `subprocess.Popen`."""

    arguments: Sequence[str]
    process: ForkServerProcess
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def stdout(self) -> str:
        return self.out.read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return self.err.read_text(encoding="utf-8")

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float = LONGEST_SECONDS) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(list(self.arguments), timeout, self.stdout, self.stderr)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()


def fork(target: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """Start a function of a module in a process that has the libraries in memory."""
    _CONTEXT.set_forkserver_preload(["libraries"])
    # Python 3.11 does not give the server this process's sys.path, and ignores what it cannot find
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    process = _CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


def start(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], Any] | None = None,
    log: Path | None = None,
) -> Started:
    """Start `python -m MODULE ARGUMENTS ...` in a folder.

    Args:
        arguments: the module and what follows it.
        folder: the working folder.
        environment: all of it; by default that of this process.
        before: called in the new process first (a function of a module, which can be pickled).
        log: file for both streams; by default each goes to a file of its own.
    """
    if log is None:
        handles = [tempfile.mkstemp(prefix=f"mcalc-test-{name}-") for name in ("out", "err")]
        for number, _ in handles:
            os.close(number)
        out, err = (Path(name) for _, name in handles)
    else:
        out = err = log
    given = dict(os.environ if environment is None else environment)
    given["PYTHONPATH"] = os.pathsep.join(filter(None, (_TESTS, given.get("PYTHONPATH"))))
    # some of mcalc's modules read the environment while they are imported
    anew = before is not None or _but_for_path(given) != _but_for_path(os.environ)
    process = fork(_command, arguments, str(folder), given, str(out), str(err), before, anew)
    return Started(arguments, process, out, err)


def wait_for(condition: Callable[[], object], *processes: Started | ForkServerProcess) -> None:
    """Wait until it holds; fails where a process ends before."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not condition():
        for each in processes:
            status = each.poll() if isinstance(each, Started) else each.exitcode
            said = each.stdout + each.stderr if isinstance(each, Started) else ""
            assert status is None, f"ended with status {status}: {said}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def run(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], Any] | None = None,
    timeout: float = LONGEST_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """`start`, and what it printed when it has ended."""
    started = start(*arguments, folder=folder, environment=environment, before=before)
    try:
        status = started.wait(timeout)
        return subprocess.CompletedProcess(list(arguments), status, started.stdout, started.stderr)
    finally:
        started.kill()
        started.out.unlink()
        started.err.unlink()


def _command(
    arguments: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    out: str,
    err: str,
    before: Callable[[], Any] | None,
    anew: bool,
) -> None:
    """What the new process does: become `python -m` of the arguments.

    `anew`: import mcalc once more.
    """
    for number, name in enumerate((os.devnull, out, err)):
        # appended, as both may be one file
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb"), encoding="utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(os.fdopen(number, "wb", 0), encoding="utf-8", write_through=True)
        for number in (1, 2)
    )
    os.chdir(folder)
    further = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    anew = anew or _leads_elsewhere([folder, *further])
    os.environ.clear()
    os.environ.update(environment)
    searched = [folder, *further]
    sys.path[:] = [*searched, *(entry for entry in sys.path if entry not in searched)]
    module, *sys.argv[1:] = arguments
    _forget(module, all_of_ours=anew)
    if before:
        before()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        raise SystemExit(1) from None
    finally:
        _end_threads()
        atexit._run_exitfuncs()


def _but_for_path(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name != "PYTHONPATH"}


def _forget(command: str, *, all_of_ours: bool) -> None:
    """Let `runpy` import the command, and with it all of mcalc."""
    for name in [*sys.modules]:
        of_ours = name.partition(".")[0] in _OURS
        if name in (command, f"{command}.__main__") or (all_of_ours and of_ours):
            del sys.modules[name]


def _leads_elsewhere(searched: Sequence[str]) -> bool:
    """Whether Python may find another mcalc than the one in memory, or parts of a plug-in."""
    folder, *further = (Path(place).resolve() for place in searched)
    known = {Path(place).resolve() for place in sys.path}
    return bool({*further} - known) or (folder != _ROOT and (folder / "mcalc").is_dir())


def _end_threads() -> None:
    """What the interpreter does first when it ends: pools of workers, as joblib's, are shut down.

    A process of multiprocessing waits for its children before that, which would wait for ever.
    """
    registered: Any = threading
    for call in reversed(registered._threading_atexits):
        call()
