"""How a command's process ends: its status, what it printed, and that it leaves nothing behind.

Real interpreters, as a process that is forked from another one ends in another way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from parameters import most_are_whole

ROOT = Path(__file__).resolve().parents[2]
MISTYPED = ("mcalc.train", "head.wieght_lr=1")
SETTINGS = ("mcalc.train", "--cfg", "job")

PROGRAM = """
import atexit, multiprocessing, sys, tempfile, threading, time
from mcalc.leaving import run_as_program

def work():
    folder = tempfile.TemporaryDirectory(prefix="left-")
    atexit.register(print, "registered")
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    child = multiprocessing.Process(target=time.sleep, args=(600,), daemon=True)
    child.start()
    print("child", child.pid)
    keep.append((folder, child))
    END

keep = []
if __name__ == "__main__":
    run_as_program(work)
    print("never reached")
"""


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    given = {**os.environ, "PYTHONPATH": path, **more}
    given.pop("PYTHONUNBUFFERED", None)
    return given


def run(*command: str, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, text=True, timeout=120, check=False,
        env=environment(), **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )  # type: ignore[call-overload, no-any-return]  # fmt: skip


whole_program = pytest.mark.skipif(
    "coverage" in sys.modules, reason="below a tracer a command takes the interpreter's way out"
)


def script(tmp_path: Path, end: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "temporary").mkdir()
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.replace("END", end))
    return subprocess.run(
        [sys.executable, str(file)], cwd=tmp_path, text=True, timeout=120, check=False,
        capture_output=True, env=environment(TMPDIR=str(tmp_path / "temporary")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("return 0", 0),
        ("return 1", 1),
        ("sys.exit(2)", 2),
        ("sys.exit(75)", 75),
        ("raise SystemExit(130)", 130),
        ("sys.exit()", 0),
        ("sys.exit('why')", 1),
        ("raise ValueError('unforeseen')", 1),
    ],
)
def test_whatever_the_status_nothing_is_left(end: str, status: int, tmp_path: Path) -> None:
    done = script(tmp_path, end)
    assert done.returncode == status, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("child ")
    assert lines[1:] == ["thread", "registered"], "what a pipe holds back is written"
    assert not psutil.pid_exists(int(lines[0].split()[1]))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert ("why" in done.stderr) == ("why" in end)
    assert ("ValueError: unforeseen" in done.stderr) == ("ValueError" in end)


@whole_program
def test_the_interpreters_teardown_is_left_out(tmp_path: Path) -> None:
    """An object that only teardown frees would print."""
    end = "Late = type('Late', (), {'__del__': lambda _: print('freed', flush=True)})\n"
    end += "    keep.append(Late())\n    return 0"
    done = script(tmp_path, end)
    assert done.returncode == 0
    assert "freed" not in done.stdout


@pytest.mark.parametrize("over", ["cProfile", "trace --count --coverdir=counts"])
def test_below_another_program_that_one_goes_on(over: str, tmp_path: Path) -> None:
    program, *options = over.split()
    named = [*options, "--module"] if program == "trace" else ["-m"]
    done = run(program, *named, "mcalc", folder=tmp_path)
    assert "usage: mcalc COMMAND" in done.stdout
    if program == "cProfile":
        assert "function calls" in done.stdout
    else:
        assert list((tmp_path / "counts").glob("mcalc*.cover"))


@pytest.mark.parametrize(("command", "status"), [(SETTINGS, 0), (MISTYPED, 2)])
def test_what_is_printed_into_a_pipe_is_whole(
    command: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    done = run(*command, folder=tmp_path)
    assert done.returncode == status
    if status:
        assert done.stderr.startswith("error: unknown key 'head.wieght_lr'")
        assert done.stderr.endswith("\n")
    else:
        assert done.stdout.startswith("name: null\n")
        assert "\ntracking:\n" in done.stdout


@whole_program
@pytest.mark.parametrize("command", [("mcalc",), ("mcalc.train", "--help"), SETTINGS])
def test_output_that_cannot_be_written_is_said(command: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*command, folder=tmp_path, stdout=full)
    assert done.returncode == 74
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: what was printed could not be written (No space left")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "status", "out", "err"),
    [
        ("mcalc.train --help", 0, "usage: ", ""),
        ("mcalc.train --help all", 0, "Settings of all commands", ""),
        ("mcalc.train nope=1", 2, "", "error: unknown key 'nope'"),
        ("mcalc.report tracking.dir=none", 2, "", "error: nothing is recorded in none"),
    ],
)
def test_a_closed_stream_changes_neither_status_nor_the_other_stream(
    closed: str, command: str, status: int, out: str, err: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m {command} {closed}"], cwd=tmp_path, text=True,
        timeout=120, check=False, capture_output=True, env=environment(),
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    for stream, text, number in ((done.stdout, out, " >&-"), (done.stderr, err, "2>&-")):
        if number in f" {closed}" or not text:
            assert stream == ""
        else:
            assert text in stream


def test_what_is_opened_later_gets_no_number_of_a_closed_stream(tmp_path: Path) -> None:
    """A library in C that prints would write into it."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from mcalc.leaving import run_as_program\n"
        "def work():\n"
        "    with Path('database').open('wb') as file:\n"
        "        os.write(1, b'printed')\n"
        "        os.write(2, b'printed')\n"
        "        return file.fileno() <= 2\n"
        "run_as_program(work)\n"
    )
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} {program} <&- >&- 2>&-"], cwd=tmp_path,
        timeout=120, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "database").read_bytes() == b""


@whole_program
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("mcalc.train", "--help"), 0),
        (("mcalc.train", "--help", "all"), 0),
        (SETTINGS, 141),
        (("mcalc.data", "data.phantom.lesions=8"), 141),
    ],
)
def test_a_reader_that_goes_away_is_no_error(
    command: tuple[str, ...], status: int, tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = run(*command, folder=tmp_path, stdout=write)
    os.close(write)
    assert done.returncode == status
    assert done.stderr == ""


def test_without_any_output_a_command_works(tmp_path: Path) -> None:
    shell = f"exec {sys.executable} -m mcalc >&-"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_main_that_is_imported_returns(tmp_path: Path) -> None:
    program = (
        "from mcalc.__main__ import main\nfrom mcalc.train import main as train\n"
        "print('returned', main(['--help']), train(['--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.endswith("returned 0 0\n"), done.stderr


STORES = """
import os, sys
from pathlib import Path
from mcalc.leaving import run_as_program
from mcalc.sqlite_file import url_of
from mcalc.sweep.store.storage import Storage
from mcalc.tracking.tracker import Tracker

def work():
    tracker = Tracker(Path("record"), "mcalc")
    tracker.open_trial("one", "k1", {}, {}, None).finish({"accuracy": 0.5}, {})
    kept.append((tracker, Storage(url_of(Path("record/optuna.db").resolve()), 1)))
    print(sorted(each.name for each in Path("record").glob("*-wal")))
    return 0

kept = []
if __name__ == "__main__":
    run_as_program(work)
"""


@pytest.mark.whole
@pytest.mark.slow
def test_the_logs_of_both_databases_are_joined_to_them(tmp_path: Path) -> None:
    """A copy of `mlflow.db` alone has all runs."""
    (tmp_path / "program.py").write_text(STORES)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['mlflow.db-wal', 'optuna.db-wal']\n", "both were in use"
    left = {each.name for each in (tmp_path / "record").iterdir()}
    assert not [name for name in left if name.endswith(("-wal", "-shm"))]
    assert {"mlflow.db", "optuna.db"} <= left


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_while_libraries_are_imported_ends_with_its_status(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    started = subprocess.Popen(
        [
            sys.executable, "-m", "mcalc.train", "data.phantom.lesions=24", "backbone.weights=none",
            "trainer.max_iterations=100000", "trainer.batch_size=4", "backbone=squeezenet",
        ],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while not (tmp_path / "mlruns").exists():
            assert started.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started.send_signal(number)
        _, said = started.communicate(timeout=100)
    finally:
        started.kill()
    assert started.returncode == status, said
    assert "Traceback" not in said


def ends_by_its_own_signal(folder: Path, program: str, number: int, status: int) -> None:
    """Run a program that is given the number of the signal that it sends itself."""
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py", str(int(number))], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == 1


DROPPING = """
import os, sys, time, weakref
import mcalc.train

class Thing:
    pass

def callback(reference):
    os.kill(os.getpid(), int(sys.argv[1]))
    while not dropped:  # Python calls the handler between two of these
        dropped.append(True)
        time.sleep(0.01)

def work(line):
    thing = Thing()
    reference = weakref.ref(thing, callback)
    del thing
    time.sleep(60)
    return 0

dropped = []
mcalc.train.run = work
sys.exit(mcalc.train.main(["head.weight_lr=1"]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_in_a_callback_whose_exceptions_python_drops_ends_the_command(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    """Importing a library calls such callbacks throughout."""
    ends_by_its_own_signal(tmp_path, DROPPING, number, status)


SLOW = """
import time
from pathlib import Path

Path("importing").touch()
try:
    for _ in range(100):
        time.sleep(0.02)
except BaseException as error:
    Path("raised").write_text(repr(error))
    END
Path("imported").touch()
"""
IMPORTING = """
import sys, time
import mcalc.train

def work(line):
    IMPORT
    time.sleep(600)
    return 0

mcalc.train.run = work
sys.exit(mcalc.train.main(["head.weight_lr=1"]))
"""


@pytest.mark.parametrize(
    ("number", "status"), most_are_whole([(signal.SIGTERM, 75), (signal.SIGINT, 130)], 1)
)
@pytest.mark.parametrize(
    "end", ["raise ImportError('initialization failed') from None", "pass"], ids=["turned", "lost"]
)
@pytest.mark.parametrize(
    "imports",
    ["import slow", "try:\n        import slow\n    except ImportError:\n        pass"],
    ids=["needed", "tried"],
)
def test_a_signal_waits_for_the_end_of_an_import(
    number: signal.Signals, status: int, end: str, imports: str, tmp_path: Path
) -> None:
    """Modules in C turn an exception of a signal into an ImportError; some drop it."""
    (tmp_path / "slow.py").write_text(SLOW.replace("END", end))
    (tmp_path / "program.py").write_text(IMPORTING.replace("IMPORT", imports))
    started = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "importing").exists():
            assert started.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started.send_signal(number)
        _, said = started.communicate(timeout=100)
    finally:
        started.kill()
    assert started.returncode == status, said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "raised").exists()
    assert (tmp_path / "imported").exists()


# a C function may sleep between Python's last look for signals and the system call that sleeps
LATE = """
import ctypes, itertools, os, sys, time
import mcalc.train

def work(line):
    late = map(ctypes.CDLL(None).usleep, [200_000])
    seconds = itertools.islice(itertools.chain(late, [600]), 1, None)
    import signalled
    time.sleep(*seconds)
    return 0

mcalc.train.run = work
sys.exit(mcalc.train.main(["head.weight_lr=1"]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_whose_import_ends_as_the_process_goes_to_sleep_does_not_wait_for_the_sleep(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    (tmp_path / "signalled.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    ends_by_its_own_signal(tmp_path, LATE, number, status)


@pytest.mark.parametrize(
    ("arguments", "resumes"),
    [
        (["-m", "head.weight_lr=1,2"], True),
        (["-m", "head.weight_lr=1,2", "dry_run=true"], False),
        (["--cfg", "job"], False),
    ],
)
def test_only_what_has_begun_is_said_to_resume(
    arguments: list[str], resumes: bool, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(
        "import sys\nimport mcalc.train\n\ndef work(line):\n    raise KeyboardInterrupt\n\n"
        "mcalc.train.run = work\nsys.exit(mcalc.train.main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py", *arguments], cwd=tmp_path, env=environment(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert ("resumes" in done.stderr) == resumes
