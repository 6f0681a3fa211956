"""Calls that must end soon and in little memory, in a process that has no more of either."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import processes

from mcalc.errors import UserError

# of the processor; side by side with others a core does less in a second
_BESIDE_OTHERS = 1.5 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
MOST_SECONDS = 10.0 if "coverage" in sys.modules else 2.0 * _BESIDE_OTHERS
"""Of the processor: other work on the machine does not count, a tracer does."""
MOST_BYTES = 2**30
"""Beyond what the process has when it begins."""


def refusals(
    function: Callable[..., Any],
    calls: Mapping[str, Sequence[Any]],
    folder: Path,
    error: type[Exception] = UserError,
) -> dict[str, str]:
    """Call a function of a module with each of these arguments; returns the sentences by name.

    The working folder is `folder`. Fails where a call is not refused with `error` in one line, or
    takes more than `MOST_SECONDS` or `MOST_BYTES`.
    """
    answers = folder / "answers.json"
    answers.unlink(missing_ok=True)
    process = processes.fork(_call_all, function, dict(calls), str(folder), str(answers), error)
    process.join(60 + MOST_SECONDS * len(calls))
    process.kill()
    assert answers.is_file(), "the process did not come to its end"
    said: dict[str, str] = {}
    for name, (outcome, text, seconds) in json.loads(answers.read_text()).items():
        assert outcome == "refused", (name, outcome, text)
        assert "\n" not in text, (name, text)
        assert len(text) < 600, (name, text)
        assert seconds < MOST_SECONDS, (name, seconds)
        said[name] = text
    assert said.keys() == calls.keys()
    return said


def _call_all(
    function: Callable[..., Any],
    calls: Mapping[str, Sequence[Any]],
    folder: str,
    answers: str,
    error: type[Exception],
) -> None:
    os.chdir(folder)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.RLIM_INFINITY))
    outcomes = {}
    for name, arguments in calls.items():
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                outcome = "returned", repr(function(*arguments))[:300]
        except error as refused:
            outcome = "refused", str(refused)
        except BaseException as other:  # whatever it is, the test says so
            outcome = type(other).__name__, str(other)[:300]
        outcomes[name] = [*outcome, time.process_time() - began]
    Path(answers).write_text(json.dumps(outcomes))
