"""Training steps measured in a second process, which imports PyTorch while this one still plans.

That import and those of the networks are more than half of what a first plan takes.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from mcalc.config import Config
from mcalc.errors import UserError
from mcalc.importing import large_imports
from mcalc.iteration import usable_cores
from mcalc.sweep.display.step_times import StepFailedError

if TYPE_CHECKING:
    import subprocess

    from mcalc.sweep.display.step_times import MeasuredStep

_log = logging.getLogger(__name__)
_BUSY = 0.1
"""Share of the cores that others use from which on a measurement is not that of a quiet machine."""
_LONG_ENOUGH = 0.5
"""Seconds after which it is known how busy others are, and between two looks at the parent."""


class StepProcess:
    """Measures steps within its `with` block, as `measured_step.measured` does in this process.

    Where the second process ends without an answer, this one measures: it gives the same, or says
    what is wrong.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: BinaryIO | None = None
        self._failed = self._said = False
        """Whether there is no second process that can measure, and whether that was printed."""

    def start(self) -> None:
        """Begin to import, where there is a core to do so beside this process; once."""
        if usable_cores() == 1 or self._process is not None:
            return
        # late: a mistake in the command is answered without it
        import subprocess

        # not its standard output, to which an interpreter's start may print
        try:
            ours, its = os.pipe()
        except OSError:
            self._failed = True
            return
        self._answers = os.fdopen(ours, "rb")
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_path_option(), "-m", __name__, str(its), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # where this process finds modules, as a notebook that added a folder
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=(its,),
                # Ctrl-C is for this process, which ends the other
                start_new_session=True,
            )
        except OSError:  # as many processes, or files, as the system allows
            self._answers.close()
            self._failed = True
        finally:
            os.close(its)

    def measured(self, config: Config) -> MeasuredStep:
        """A training step as a trial of this config would do it.

        Raises UserError, and StepFailedError where the step does not work.
        """
        answer = self._answer(config) if self._process else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        others = _Others() if self._failed else None
        # late: PyTorch and the networks, which a plan whose times are known does without
        with large_imports():
            from mcalc.sweep.display.measured_step import measured
        answer = measured(config, beside_others=others is not None and others.are_busy())
        if self._failed and not self._said:
            self._said = True
            _log.warning(
                "  warning: the process that measures training steps could not be started, or "
                "ended: they are measured in this one, which takes longer"
            )
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _answer(self, config: Config) -> MeasuredStep | UserError | StepFailedError | None:
        assert self._process is not None
        questions, answers = self._process.stdin, self._answers
        assert questions is not None
        assert answers is not None
        try:
            pickle.dump(config, questions)
            questions.flush()
            answer = pickle.load(answers)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._end()
            self._failed = True
            return None
        found: MeasuredStep | UserError | StepFailedError = answer
        return found

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._answers):
            assert pipe is not None
            with suppress(OSError):  # a question that was never read
                pipe.close()
        self._process.wait()
        self._process = None


def _path_option() -> list[str]:
    """Keeps the working folder from the path of `-m`, where this process has it not there."""
    folders = {os.path.realpath(folder) for folder in sys.path}
    return [] if os.path.realpath("") in folders else ["-P"]


class _Others:
    """How busy other processes keep the cores of this one."""

    def __init__(self, asks: int | None = None) -> None:
        """`asks`: a process that is not counted as another one."""
        import psutil  # late, as the process that asks does without

        self._psutil = psutil
        self._asks = psutil.Process(asks) if asks else None
        self._began = self._now()

    def are_busy(self) -> bool:
        """Whether they were since this was made; waits until that is long enough to tell."""
        time.sleep(max(0.0, self._began[0] + _LONG_ENOUGH - time.monotonic()))
        clock, used, ours = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return used - ours > _BUSY * clock * usable_cores()

    def _now(self) -> tuple[float, float, float]:
        """Time by the clock, and of the processor: all of it, and ours; in seconds."""
        each = self._psutil.cpu_times(percpu=True)
        if hasattr(os, "sched_getaffinity"):
            each = [each[core] for core in os.sched_getaffinity(0) if core < len(each)]
        used = sum(core.user + core.system + getattr(core, "nice", 0.0) for core in each)
        ours = time.process_time()
        if self._asks:
            with suppress(self._psutil.Error):
                asks = self._asks.cpu_times()
                ours += asks.user + asks.system
        return time.monotonic(), used, ours


def _end_with(parent: int) -> None:
    """End this process once the one that asks has ended, by whatever signal."""
    while os.getppid() == parent:
        time.sleep(_LONG_ENOUGH)
    os._exit(1)


def _answer_questions() -> None:
    """Answer each config that comes, until the process that asks closes the pipe or ends."""
    pipe, asks = map(int, sys.argv[1:])
    # a package may hang as it is imported, so that the pipe's end is not seen
    threading.Thread(target=_end_with, args=(asks,), daemon=True).start()
    others = _Others(asks)
    answers = os.fdopen(pipe, "wb")
    with large_imports():
        from mcalc.sweep.display.measured_step import measured
    while True:
        try:
            config = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: MeasuredStep | Exception
        try:
            answer = measured(config, beside_others=others.are_busy())
        except (UserError, StepFailedError) as error:
            # by its text: what a package's error holds may not be sent
            answer = (UserError if isinstance(error, UserError) else StepFailedError)(str(error))
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    _answer_questions()
