"""How a command's process ends: at once, when all that it has to leave behind is written.

The interpreter's teardown frees every object of the libraries, one by one, before memory that the
system takes back anyway: a second or more after a training run. A command does first what others
would notice: it joins threads, calls what is registered for the end (temporary folders, child
processes, logs, databases) and writes out what is printed.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

OUTPUT_LOST = 74
"""Exit status where what was printed could not be written: EX_IOERR of sysexits.h."""
READER_GONE = 141
"""Exit status where the reader, such as `head`, had gone: as a shell shows SIGPIPE."""


def run_as_program(main: Callable[[], int]) -> NoReturn:
    """Run a command's main, and end the process with its status.

    Only for `if __name__ == "__main__"` and for console scripts: it never returns. Errors that
    nobody foresaw, and a main that runs below another program (a profiler, a debugger, a test),
    take the interpreter's own way out.
    """
    open_closed_streams()
    try:
        status = _status(main)
    except OSError as error:
        if not _is_of_output(error):
            raise
        status = _said(error)
    if not _is_whole_program():
        sys.exit(status)
    leave(status)


def open_closed_streams() -> None:
    """Give standard streams that the caller closed (`>&-`) to the null device.

    Python has None for such a stream, which takes no text; and the next file that is opened, a
    database for instance, would get its number, and with it what libraries print there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def leave(status: int) -> NoReturn:
    """End the process, without the interpreter's teardown but with all that others would miss."""
    # as the interpreter does: first threads, then what is registered, then what is printed
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        _flush(sys.stdout)
    except OSError as error:
        status = status or _said(error)
    with suppress(OSError):
        _flush(sys.stderr)
    os._exit(status)


def _status(main: Callable[[], int]) -> int:
    """The exit status of a main, which may end by SystemExit."""
    try:
        return main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1


def _flush(stream: Any) -> None:
    # None without a terminal, closed where the program closed it
    if stream is not None and not stream.closed:
        stream.flush()


def _is_of_output(error: OSError) -> bool:
    """Whether it is standard output that cannot be written: nor can a further line be then."""
    if error.errno == errno.EPIPE:
        return True  # nothing else of a command is a pipe
    if error.errno not in (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT):
        return False
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _said(error: OSError) -> int:
    """The status for output that is lost, after a sentence; nobody waits for one at a pipe."""
    _drop_output()
    if error.errno == errno.EPIPE:
        return READER_GONE
    with suppress(OSError):
        print(
            f"error: what was printed could not be written ({os.strerror(error.errno or 0)}): give "
            "standard output another place; what is recorded is kept",
            file=sys.stderr,
            flush=True,
        )
    return OUTPUT_LOST


def _drop_output() -> None:
    """Let standard output take what is left in its buffer, to nowhere."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_whole_program() -> bool:
    """Whether `python -m`, a script or a console script began here, and nothing looks on."""
    if sys.flags.interactive or os.environ.get("PYTHONINSPECT"):
        return False
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return False
    own = vars(sys.modules["__main__"])
    frame = sys._getframe()
    while frame.f_back is not None and not _is_module(frame, own):
        frame = frame.f_back
    outer = frame.f_back
    while outer is not None:
        if outer.f_globals.get("__name__") != "runpy":
            return False
        outer = outer.f_back
    return _is_module(frame, own)


def _is_module(frame: Any, own: dict[str, Any]) -> bool:
    return frame.f_globals is own and frame.f_code.co_name == "<module>"
