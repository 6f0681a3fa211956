"""Tables on a terminal: no line is longer than it, and no number is left out."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from mcalc.report.formats import TEXT_WIDTH, Column, Table, numbers
from mcalc.report.printing import print_notes, print_table

CELLS = tuple(f"{number}.{number:03d}" for number in range(100, 112))


def table(**names: str) -> Table:
    """Two columns of words, and a dozen of numbers, which take 113 characters by themselves."""
    columns = [Column(key, key.capitalize(), text=True) for key in names]
    columns += numbers(**{f"n{cell}": "Number of it" for cell in CELLS})
    return Table("Many numbers", tuple(columns), ((*names.values(), *CELLS),), ("A note.",))


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 100, 119])
def test_a_wide_table_is_printed_in_parts(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(table(first="resnet18", second="descriptors"))
    lines = printed(capsys)
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith("resnet18")]
    assert len(rows) == 2
    assert [cell for row in rows for cell in row[2:]] == list(CELLS)
    assert lines.count("Many numbers") == lines.count("* A note.") == 1


def test_names_that_fill_a_line_leave_room_for_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(table(first="a" * 50, second="b" * 50, third="c" * 50))
    lines = printed(capsys)
    assert max(map(len, lines)) <= 80
    found = " ".join(lines)
    assert all(cell in found for cell in CELLS)


def test_a_table_that_fits_is_printed_whole_and_notes_are_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_table(table())
    assert sum(CELLS[0] in line and CELLS[-1] in line for line in printed(capsys)) == 1
    monkeypatch.setenv("COLUMNS", "80")
    print_notes(["word " * 40], "Heading")
    heading, *notes = printed(capsys)
    assert heading == "Heading"
    assert len(notes) == 3
    assert max(map(len, notes)) <= 80


@contextmanager
def terminal(columns: int) -> Iterator[tuple[TextIO, int]]:
    """A terminal of so many columns to write to, and what reads what is written."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(writer, "w") as stream:
        try:
            yield stream, reader
        finally:
            os.close(reader)


@pytest.mark.parametrize(("columns", "longest"), [(90, 90), (40, 80), (0, TEXT_WIDTH)])
def test_a_table_is_as_wide_as_the_terminal_that_it_is_printed_on(
    columns: int, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of errors, where stdout is a file. One that knows no width takes the most."""
    monkeypatch.delenv("COLUMNS", raising=False)
    with terminal(columns) as (stream, reader):
        print_table(table(first="resnet18", second="descriptors"), stream)
        print("END", file=stream, flush=True)
        seen = b""
        while b"END" not in seen:
            seen += os.read(reader, 8192)
    lines = seen.decode().splitlines()
    assert longest - 12 < max(map(len, lines)) <= longest
    found = " ".join(lines)
    assert all(cell in found for cell in CELLS)


def test_a_table_in_a_file_has_its_whole_width_whatever_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with terminal(80) as (narrow, _), (tmp_path / "log").open("w+") as stream:
        monkeypatch.setattr(sys, "__stdout__", narrow)
        print_table(table(), stream)
        stream.seek(0)
        lines = stream.read().splitlines()
    assert sum(CELLS[0] in line and CELLS[-1] in line for line in lines) == 1
