"""Commands with addresses that hold a password: it is printed and written nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import processes
import pytest
from parameters import most_are_whole

CANARY = "cAn4ry"
PARTS = (CANARY, "xyZZy77")
"""Two words of each password; a library may repeat either."""
TRIAL = (
    "backbone=squeezenet",
    "backbone.weights=none",
    "data.phantom.lesions=8",
    "storage_wait=0",
)
CLOSED = "127.0.0.1:9"
"""Where nobody listens."""
STORES = (
    f"postgresql+psycopg://ann:{CANARY}xyZZy77@{CLOSED}/mcalc",
    f"postgresql+psycopg://ann:{CANARY}@xyZZy77@{CLOSED}/mcalc",
    f"postgresql+psycopg://ann:{CANARY}/xyZZy77@{CLOSED}/mcalc",
    f"postgresql+psycopg://ann:{CANARY}%40xyZZy77@{CLOSED}/mcalc",
    f"postgresql+psycopg://ann:{CANARY}@[::1]:9/mcalc",
    f"postgresql+psycopg://ann:{CANARY}@127.0.0.1:9,127.0.0.1:9/mcalc",
    f"postgresql+psycopg:///mcalc?host=127.0.0.1&port=9&password={CANARY}&sslpassword=xyZZy77",
    f"postgresql+psycopg:///mcalc?host=127.0.0.1&port=9&nonsense={CANARY}",
    f"host=127.0.0.1 port=9 password='{CANARY} xyZZy77'",
    f"ann:{CANARY}@db/mcalc",
    f"nonsense://ann:{CANARY}@db/mcalc",
    f"postgresql+psycopg://ann:{CANARY}${{xyZZy77@db/mcalc",
    f"'postgresql+psycopg://ann:{CANARY}@db:port/mcalc'",
)
SERVERS = (
    f"http://ann:{CANARY}xyZZy77@{CLOSED}",
    f"http://ann:{CANARY}@xyZZy77@{CLOSED}",
    f"http://{CANARY}@{CLOSED}",
    f"http://{CLOSED}/?token={CANARY}",
    f"http://{CLOSED}#access_token={CANARY}",
    f"http://ann:{CANARY}/xyZZy77@{CLOSED}",
    f"http://ann:{CANARY}@[::1",
)


def check(tmp_path: Path, *arguments: str) -> str:
    """Run a command; returns what it printed, in which, as in every file, nothing is secret."""
    runs = tmp_path / "runs"
    done = processes.run(*arguments, f"tracking.dir={runs}", folder=tmp_path)
    printed = done.stdout + done.stderr
    assert not [part for part in PARTS if part in printed], printed
    for file in tmp_path.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert not [part for part in PARTS if part.encode() in held], file
    return printed


def commands(tmp_path: Path, setting: str, *, all_of_them: bool) -> Sequence[Sequence[str]]:
    """What may be done with an address; each fails, or prints it.

    `all_of_them`: also mistakes whose answers take every kind of address alike.
    """
    cache = f"data.cache={tmp_path / 'cache'}"
    mistyped = (
        ("mcalc.train", setting, setting.replace("=", "=,", 1)),
        ("mcalc.train", f"+{setting}"),
        ("mcalc.train", f"budget.hours={setting.partition('=')[2]}"),
    )
    return (
        ("mcalc.train", "--cfg", "job", setting),
        ("mcalc.train", "-m", "head.weight_lr=1,10", setting, *TRIAL, cache, "storage_wait=0"),
        ("mcalc.train", setting.replace("storage", "storge").replace("uri", "url")),
        ("mcalc.train", setting.partition("=")[2]),
        *(mistyped if all_of_them else ()),
    )


@pytest.mark.whole
@pytest.mark.parametrize("address", most_are_whole(STORES, 1))
def test_a_stores_password_is_printed_and_written_nowhere(tmp_path: Path, address: str) -> None:
    setting = f"storage={address}"
    words = commands(tmp_path, setting, all_of_them=address in STORES[::4])
    for arguments in (*words, ("mcalc.sweep", "url", setting)):
        assert check(tmp_path, *arguments)
    check(tmp_path, "mcalc.sweep", "list", setting, "storage_wait=0")


@pytest.mark.whole
@pytest.mark.parametrize("address", most_are_whole(SERVERS, 1))
def test_a_servers_password_is_printed_and_written_nowhere(tmp_path: Path, address: str) -> None:
    setting = f"tracking.uri={address}"
    for arguments in commands(tmp_path, setting, all_of_them=address in SERVERS[::4]):
        assert check(tmp_path, *arguments)
    check(tmp_path, "mcalc.report", setting, f"out={tmp_path / 'report'}")


@pytest.mark.parametrize("kind", ["overrides", "rows", "grid", "seeds"])
def test_a_sweep_file_keeps_the_secret_of_its_addresses(tmp_path: Path, kind: str) -> None:
    address = STORES[0]
    (tmp_path / "sweeps").mkdir()
    text = {
        "overrides": f"overrides: ['storage={address}']\nrows:\n  A: {{seed: 1}}\n",
        "rows": f"rows:\n  A: {{storage: '{address}'}}\n  B: {{storage: '{address}2'}}\n",
        "grid": f"grid:\n  storage: ['{address}', '{address}2']\n",
        "seeds": f"rows:\n  A: {{seed: 'storage={address}'}}\n",
    }[kind]
    (tmp_path / "sweeps" / "mine.yaml").write_text(text)
    done = processes.run("mcalc.train", "-m", "sweep=mine", *TRIAL, "dry_run=true", folder=tmp_path)
    printed = done.stdout + done.stderr
    assert done.returncode == 2
    assert not [part for part in PARTS if part in printed], printed


def test_a_sweep_does_not_vary_its_record(tmp_path: Path) -> None:
    done = processes.run(
        "mcalc.train", "-m", f"storage={STORES[0]},{STORES[1]}", *TRIAL, folder=tmp_path
    )
    assert done.returncode == 2
    assert "varies storage: a sweep has one record" in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_an_unforeseen_error_is_printed_without_a_password(tmp_path: Path) -> None:
    """In an interpreter of its own, as Python itself prints such an error."""
    program = (
        "import sys\n"
        "from mcalc.config import COMMANDS\n"
        "from mcalc import command_line\n"
        "def fail(_):\n"
        f"    raise RuntimeError('no host {CANARY} at http://ann:{CANARY}@h')\n"
        "command_line.import_module = lambda _: type('Module', (), {'run': staticmethod(fail)})\n"
        "command_line.run_command('report', sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"tracking.uri=http://ann:{CANARY}@{CLOSED}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "RuntimeError: no host *** at http://ann:***@h" in done.stderr
    assert "Traceback" in done.stderr
