"""Replay planted faults: each diff in this folder is a fault that some test must notice.

    python tests/faults/replay.py              every fault
    python tests/faults/replay.py plan check   those whose names begin so

Each is applied to a copy of the working tree, the tests that its header names are run there in that
order until one fails, and it is taken back. `killed`: a test failed; `survived`: none did. Exit
status 1 where one survived, or could not be replayed because the code has changed since: then renew
the diff, or delete it with the code that it was about.

A diff begins with a line that says what the fault does, and a line `tests: PATH ...`. Faults were
chosen before the tests of their module were looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).resolve().parent
NOT_COPIED = (".git", ".venv", ".cache", "mlruns", "report")
"""What lies in the root and takes no part: `report` is what `make tables` writes."""
LONGEST_SECONDS = 900
"""A fault whose tests take longer is counted as killed: it made them hang."""


@dataclass(frozen=True)
class Fault:
    """A fault and the tests that should notice it."""

    name: str
    what: str
    tests: tuple[str, ...]
    diff: Path


def faults(beginnings: list[str]) -> list[Fault]:
    """The faults whose names begin with one of these words; all without any."""
    found = []
    for diff in sorted(FAULTS.glob("*.diff")):
        what, tests = diff.read_text().splitlines()[:2]
        if not beginnings or diff.stem.startswith(tuple(beginnings)):
            found.append(Fault(diff.stem, what, tuple(tests.removeprefix("tests:").split()), diff))
    return found


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the working tree, the same for all faults: Python compiles it once."""
    with tempfile.TemporaryDirectory() as folder:
        # as in the checkout, where tests look for the real data beside it
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=_not_copied)
        if (ROOT.parent / "shared").is_dir():
            (Path(folder) / "shared").symlink_to(ROOT.parent / "shared")
        yield tree


@contextmanager
def planted(fault: Fault, tree: Path) -> Iterator[bool]:
    """A fault in a tree while it is looked at; whether it could be: the code may have changed."""
    apply = ["git", "apply", str(fault.diff)]
    applied = subprocess.run(apply, cwd=tree, capture_output=True).returncode == 0
    yield applied
    if applied:
        subprocess.run([*apply, "--reverse"], cwd=tree, capture_output=True, check=True)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    # elsewhere the same name is a package: mcalc/report
    here = NOT_COPIED if Path(folder) == ROOT else ()
    return {name for name in names if name in here or name == "__pycache__"}


def replay(fault: Fault, tree: Path) -> tuple[str, str]:
    """`killed`, `survived` or `does not apply`; and the first test that noticed."""
    with planted(fault, tree) as applied:
        if not applied:
            return "does not apply", ""
        outcome, noticed = "not replayed", "it names no tests"
        for tests in fault.tests:
            outcome, noticed = _run(tree, tests)
            if outcome != "survived":
                break
        return outcome, noticed


def _run(tree: Path, tests: str) -> tuple[str, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # a process for each core takes longer to start than one test to run
    if "::" not in tests:
        command += ["-n", "auto", "--dist", "loadgroup"]
    try:
        ran = subprocess.run(
            [*command, tests],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "killed", "the tests did not end"
    if ran.returncode == 0:
        return "survived", ""
    noticed = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
    # several processes that stop at the first failure end as interrupted, which is status 2
    if noticed is None and re.search(r"^\d+ failed", ran.stdout, re.MULTILINE):
        return "killed", "a test's process was ended, and pytest lost its name"
    if noticed is None:
        return "not replayed", (ran.stdout + ran.stderr).strip()[-300:]
    return "killed", noticed[1]


def main() -> int:
    chosen = faults(sys.argv[1:])
    if not chosen:
        sys.exit(f"no fault's name begins with {' or '.join(sys.argv[1:])}")
    counts: Counter[str] = Counter()
    with copied() as tree:
        for fault in chosen:
            began = time.monotonic()
            outcome, noticed = replay(fault, tree)
            counts[outcome] += 1
            took = time.monotonic() - began
            print(f"{outcome:14} {fault.name} ({took:.0f} s) {noticed or fault.what}", flush=True)
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())))
    return 0 if counts.keys() <= {"killed"} else 1


if __name__ == "__main__":
    sys.exit(main())
