"""Where messages go: plain to the console, and to a worker's file with time and level."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from mcalc.console import console
from mcalc.logs import log_to_console, worker_log

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO   |WARNING|ERROR  ) (.*)")
_log = logging.getLogger("mcalc.a.module")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Leave logging as it was found."""
    ours = logging.getLogger("mcalc")
    before = list(ours.handlers), ours.level, ours.propagate
    yield
    ours.handlers, ours.level, ours.propagate = before


def lines(log: Path) -> list[tuple[str, str]]:
    """Level and text of each line, all of which have a date and a time."""
    found = [LINE.fullmatch(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert all(found)
    return [(each[1].strip(), each[2]) for each in found if each]


def test_the_console_shows_messages_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_console()
    log_to_console()
    _log.info("  a [bold]trial[/]: accuracy %.4f", 0.5)
    _log.warning("  warning: %s", "no weights")
    _log.error("x" * 300)
    _log.debug("nobody asked")
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "  a [bold]trial[/]: accuracy 0.5000",
        "  warning: no weights",
        "x" * 300,
    ]
    assert printed.err == ""


def test_a_terminal_shows_warnings_in_yellow_and_errors_in_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Console(
        force_terminal=True, color_system="standard", markup=False, highlight=False, record=True
    )
    monkeypatch.setattr("mcalc.logs.console", terminal)
    log_to_console()
    _log.info("plain")
    _log.warning("yellow")
    _log.error("red")
    shown = terminal.export_text(styles=True).splitlines()
    assert shown == ["plain", "\x1b[33myellow\x1b[0m", "\x1b[31mred\x1b[0m"]


@pytest.mark.whole
def test_other_programs_that_import_mcalc_keep_their_logging() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import logging, mcalc.logs, mcalc.trials.recorder\n"
            "assert logging.getLogger('mcalc').handlers == logging.getLogger().handlers == []",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_workers_messages_go_to_its_file_with_time_and_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "a folder" / "worker.log"
    with worker_log(log):
        _log.info("  AL1: accuracy 0.5000 – ok")
        _log.warning("  warning: no weights")
        _log.error("  AL2 failed: no memory")
    assert lines(log) == [
        ("INFO", "  AL1: accuracy 0.5000 – ok"),
        ("WARNING", "  warning: no weights"),
        ("ERROR", "  AL2 failed: no memory"),
    ]
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_what_is_printed_in_a_worker_is_in_the_file_line_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "worker.log"
    table = Table("trial", "accuracy")
    table.add_row("AL1", "0.5")
    with worker_log(log):
        print("one\ntwo")
        print("in ", end="")
        print("pieces")
        console.print("by rich")
        console.print(table)
        print("unfinished", end="")
    found = lines(log)
    assert {level for level, _ in found} == {"INFO"}
    texts = [text for _, text in found]
    assert texts[:4] == ["one", "two", "in pieces", "by rich"]
    assert texts[-1] == "unfinished"
    drawn = texts[4:-1]
    assert len(drawn) == 5
    assert len({len(text) for text in drawn}) == 1
    assert [cell.strip() for cell in drawn[3].split("│")[1:-1]] == ["AL1", "0.5"]
    assert capsys.readouterr().out == ""


def test_after_a_worker_messages_go_where_they_went_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_console()
    handlers, out = list(logging.getLogger("mcalc").handlers), sys.stdout

    def fail() -> None:
        _log.info("inside")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), worker_log(tmp_path / "worker.log"):
        fail()
    assert logging.getLogger("mcalc").handlers == handlers
    assert sys.stdout is out
    _log.info("outside")
    print("printed")
    assert capsys.readouterr().out == "outside\nprinted\n"
    assert [text for _, text in lines(tmp_path / "worker.log")] == ["inside"]


def test_a_process_with_several_jobs_appends_to_its_file(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    for job in ("first", "second"):
        with worker_log(log):
            _log.info(job)
    assert [text for _, text in lines(log)] == ["first", "second"]


def test_threads_of_a_worker_do_not_tear_lines_apart(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"

    def speak(who: str) -> None:
        for _ in range(50):
            console.print(f"{who} {who}")

    with worker_log(log):
        threads = [threading.Thread(target=speak, args=(who * 20,)) for who in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    texts = sorted(text for _, text in lines(log))
    assert texts == sorted(f"{who * 20} {who * 20}" for who in "abcd" for _ in range(50))
